//! The words for owners, of verbs that unpack or pack.

use plimsoll::content::Result;
use plimsoll::layer::apply::Ids;
use plimsoll::layer::{IdMap, IdRange};
use plimsoll::unpack;

/// `--uid-map` and `--gid-map`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MapArgs {
    /// What user ids of the image are here, as one or more ranges
    #[arg(long, value_name = "CONTAINER:HOST:SIZE", value_delimiter = ',')]
    uid_map: Vec<IdRange>,

    /// What group ids of the image are here [default: as --uid-map]
    #[arg(long, value_name = "CONTAINER:HOST:SIZE", value_delimiter = ',', requires = "uid_map")]
    gid_map: Vec<IdRange>,
}

impl MapArgs {
    pub(crate) fn map(&self) -> Result<Option<IdMap>> {
        if self.uid_map.is_empty() {
            return Ok(None);
        }
        let gids = if self.gid_map.is_empty() { &self.uid_map } else { &self.gid_map };
        IdMap::new(self.uid_map.clone(), gids.clone()).map(Some)
    }
}

/// What becomes of owners when an image is unpacked.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct IdsArgs {
    #[command(flatten)]
    map: MapArgs,

    /// Refuse an image with owners outside of the map, instead of recording them
    #[arg(long, requires = "uid_map")]
    strict_ids: bool,

    /// Own all files and record the owners of the image, as ordinary users do
    #[arg(long, conflicts_with_all = ["uid_map", "gid_map"])]
    rootless: bool,
}

impl IdsArgs {
    pub(crate) fn ids(&self) -> Result<Ids> {
        Ok(match self.map.map()? {
            Some(map) => Ids::Mapped { map, strict: self.strict_ids },
            None if self.rootless => Ids::Own,
            None => unpack::options().ids,
        })
    }
}
