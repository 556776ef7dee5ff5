//! The media types of images, and what a layer's says (`media-types.md`,
//! `manifest.md`).

use plimsoll_content::MediaType;

macro_rules! media_types {
    ($( $(#[doc = $doc:literal])+ $name:ident = $text:literal; )+) => {
        $( $(#[doc = $doc])+ pub const $name: MediaType = MediaType::from_static($text); )+
    };
}

media_types! {
    /// An OCI image index.
    INDEX = "application/vnd.oci.image.index.v1+json";
    /// An OCI image manifest.
    MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image config.
    CONFIG = "application/vnd.oci.image.config.v1+json";
    /// The header of a layout.
    LAYOUT_HEADER = "application/vnd.oci.layout.header.v1+json";
    /// The two bytes `{}`, for artifacts without a config (MA35).
    EMPTY = "application/vnd.oci.empty.v1+json";
    /// A layer as plain tar.
    LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// A layer as gzip.
    LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer as zstd.
    LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A plain layer that may not be distributed.
    LAYER_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    /// A gzip layer that may not be distributed.
    LAYER_NONDISTRIBUTABLE_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    /// A zstd layer that may not be distributed.
    LAYER_NONDISTRIBUTABLE_ZSTD = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
    /// Docker v2.2: a manifest list.
    DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker v2.2: a manifest.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker v2.2: a config.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// Docker v2.2: a plain layer.
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker v2.2: a gzip layer, interchangeable with the OCI one (MT8).
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker v2.2: a zstd layer, as some builders write it.
    DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker v2.2: a plain layer that lies elsewhere and may not be distributed.
    DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    /// Docker v2.2: a gzip layer that lies elsewhere and may not be distributed.
    DOCKER_FOREIGN_LAYER_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// Docker v2.1, unsigned: recognised only to say what it is.
    DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json";
    /// Docker v2.1, signed: recognised only to say what it is.
    DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws";
}

/// How a layer is compressed, as its media type says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LayerCompression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

/// What the media type of a layer says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LayerType {
    /// How the tar is compressed.
    pub compression: LayerCompression,
    /// Whether the layer should not be uploaded (LY32).
    pub nondistributable: bool,
}

impl LayerType {
    /// What the media type says; `None` if it is not that of a tar layer.
    pub fn of(media_type: &MediaType) -> Option<Self> {
        use LayerCompression::{Gzip, None as Plain, Zstd};
        let (compression, nondistributable) = match media_type {
            t if [LAYER, DOCKER_LAYER].contains(t) => (Plain, false),
            t if [LAYER_GZIP, DOCKER_LAYER_GZIP].contains(t) => (Gzip, false),
            t if [LAYER_ZSTD, DOCKER_LAYER_ZSTD].contains(t) => (Zstd, false),
            t if [LAYER_NONDISTRIBUTABLE, DOCKER_FOREIGN_LAYER].contains(t) => (Plain, true),
            t if [LAYER_NONDISTRIBUTABLE_GZIP, DOCKER_FOREIGN_LAYER_GZIP].contains(t) => {
                (Gzip, true)
            }
            t if *t == LAYER_NONDISTRIBUTABLE_ZSTD => (Zstd, true),
            _ => return None,
        };
        Some(Self { compression, nondistributable })
    }

    /// The OCI media type that says this.
    pub fn media_type(self) -> MediaType {
        match (self.compression, self.nondistributable) {
            (LayerCompression::None, false) => LAYER,
            (LayerCompression::Gzip, false) => LAYER_GZIP,
            (LayerCompression::Zstd, false) => LAYER_ZSTD,
            (LayerCompression::None, true) => LAYER_NONDISTRIBUTABLE,
            (LayerCompression::Gzip, true) => LAYER_NONDISTRIBUTABLE_GZIP,
            (LayerCompression::Zstd, true) => LAYER_NONDISTRIBUTABLE_ZSTD,
        }
    }

    /// The Docker media type that says this, if there is one.
    pub fn docker_name(self) -> Option<MediaType> {
        match (self.compression, self.nondistributable) {
            (LayerCompression::None, false) => Some(DOCKER_LAYER),
            (LayerCompression::Gzip, false) => Some(DOCKER_LAYER_GZIP),
            (LayerCompression::Zstd, false) => Some(DOCKER_LAYER_ZSTD),
            (LayerCompression::None, true) => Some(DOCKER_FOREIGN_LAYER),
            (LayerCompression::Gzip, true) => Some(DOCKER_FOREIGN_LAYER_GZIP),
            (LayerCompression::Zstd, true) => None,
        }
    }

    /// The OCI name of a distributable layer of that compression.
    pub fn name(compression: LayerCompression) -> MediaType {
        Self { compression, nondistributable: false }.media_type()
    }

    /// The OCI name for the same layer; a type that is not that of a tar
    /// layer stays as it is.
    pub fn oci_name(media_type: &MediaType) -> MediaType {
        Self::of(media_type).map_or_else(|| media_type.clone(), Self::media_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mt8_docker_and_oci_layers_are_the_same() {
        assert_eq!(LayerType::of(&DOCKER_LAYER_GZIP), LayerType::of(&LAYER_GZIP));
        assert_eq!(LayerType::oci_name(&DOCKER_LAYER_GZIP), LAYER_GZIP);
        assert_eq!(LayerType::oci_name(&DOCKER_FOREIGN_LAYER_GZIP), LAYER_NONDISTRIBUTABLE_GZIP);
        let odd = MediaType::from("application/x");
        assert_eq!(LayerType::oci_name(&odd), odd);
        assert_eq!(LayerType::of(&odd), None);
    }

    #[test]
    fn names_are_well_formed_and_read_back() {
        for name in [
            LAYER,
            LAYER_GZIP,
            LAYER_ZSTD,
            LAYER_NONDISTRIBUTABLE,
            LAYER_NONDISTRIBUTABLE_GZIP,
            LAYER_NONDISTRIBUTABLE_ZSTD,
        ] {
            assert!(name.is_well_formed());
            assert_eq!(LayerType::of(&name).expect("a layer").media_type(), name);
        }
    }
}
