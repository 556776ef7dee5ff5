//! Docker's documents, as themselves and through the common views.

use plimsoll_content::{Algorithm, Code, Descriptor, Document};
use plimsoll_spec::docker::{self, is_docker};
use plimsoll_spec::{Config, Index, LayerType, Manifest, media_type};

use crate::{DIGEST, config, index, manifest, parsed, refused};

const MANIFEST: &str = r#","mediaType":"application/vnd.docker.distribution.manifest.v2+json""#;
const LIST: &str = r#","mediaType":"application/vnd.docker.distribution.manifest.list.v2+json""#;

fn docker_config() -> String {
    config(
        r#","id":"i","parent":"p","container":"c","docker_version":"20.10","container_config":{"Hostname":"c","Cmd":["/bin/sh","-c","(nop) CMD"],"Image":""},"config":{"Hostname":"","AttachStdin":false,"Tty":false,"Env":["A=b"],"Cmd":null,"OnBuild":["RUN x"],"Shell":["sh","-c"],"ArgsEscaped":true,"StopTimeout":10,"Labels":null,"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":30000000000,"Retries":3}},"history":[{"created_by":"x"},{"created_by":"y","empty_layer":true}]"#,
    )
}

#[test]
fn one_view_reads_both_families() {
    assert!(is_docker(parsed::<Manifest>(&manifest(MANIFEST)).media_type.as_ref().expect("said")));
    assert!(is_docker(parsed::<Index>(&index(LIST)).media_type.as_ref().expect("said")));
    let config = parsed::<Config>(&docker_config());
    assert_eq!(config.other["docker_version"], "20.10");
    let execution = config.config.as_ref().expect("there");
    assert_eq!(execution.env, ["A=b"]);
    assert_eq!(execution.other["OnBuild"][0], "RUN x");
}

#[test]
fn a_config_names_dockers_members() {
    let config = parsed::<docker::Config>(&docker_config());
    assert_eq!(config.container.as_deref(), Some("c"));
    assert_eq!(config.docker_version.as_deref(), Some("20.10"));
    assert_eq!((config.parent.as_deref(), &config.id), (Some("p"), &Some("i".to_owned())));
    let below = config.container_config.as_ref().expect("there");
    assert_eq!(below.cmd.as_ref().expect("there").len(), 3);
    let execution = config.config.as_ref().expect("there");
    assert_eq!(execution.on_build, ["RUN x"]);
    assert_eq!(execution.shell.as_deref(), Some(&["sh".to_owned(), "-c".to_owned()][..]));
    assert_eq!((execution.args_escaped, execution.stop_timeout), (Some(true), Some(10)));
    let check = execution.healthcheck.as_ref().expect("there");
    assert_eq!(
        (check.interval, check.retries, check.timeout),
        (Some(30_000_000_000), Some(3), None)
    );
    assert_eq!(execution.other["Hostname"], "");
}

#[test]
fn views_convert_there_and_back_without_loss() {
    let config = parsed::<docker::Config>(&docker_config()).view().clone();
    let common = Config::try_from(&config).expect("the same members");
    assert_eq!(&common, parsed::<Config>(&docker_config()).view());
    assert_eq!(docker::Config::try_from(&common).expect("back"), config);

    let text = manifest(&format!(r#"{MANIFEST},"annotations":{{"k":"v"}},"n":[1e+400,-0,1.50]"#));
    let view = parsed::<docker::Manifest>(&text).view().clone();
    let common = Manifest::try_from(&view).expect("the same members");
    assert_eq!(common.annotations["k"], "v");
    assert_eq!(docker::Manifest::try_from(&common).expect("back"), view);

    let view = parsed::<docker::ManifestList>(&index(LIST)).view().clone();
    let common = Index::try_from(&view).expect("the same members");
    assert_eq!(common.manifests, view.manifests);
    assert_eq!(docker::ManifestList::try_from(&common).expect("back"), view);
}

#[test]
fn an_oci_document_is_none_of_dockers() {
    let blob = || Descriptor::of(media_type::EMPTY, Algorithm::Sha256, b"{}");
    let oci = Manifest::new(blob(), Vec::new());
    let error = docker::Manifest::try_from(&oci).expect_err("another media type");
    assert_eq!(error.code(), Code::Malformed);
    let unsaid = Manifest { media_type: None, ..oci };
    assert!(docker::Manifest::try_from(&unsaid).is_err());
    assert!(docker::ManifestList::try_from(&Index::default()).is_err());
    refused::<docker::Manifest>(&manifest(""));
    refused::<docker::ManifestList>(&index(""));
    refused::<docker::Manifest>(&manifest(&format!(r#"{MANIFEST},"manifests":[]"#)));
    refused::<docker::ManifestList>(&index(&format!(r#"{LIST},"layers":[]"#)));
}

#[test]
fn what_is_written_is_read_by_both() {
    let blob = Descriptor::of(media_type::DOCKER_LAYER_GZIP, Algorithm::Sha256, b"x");
    let config = Descriptor::of(media_type::DOCKER_CONFIG, Algorithm::Sha256, b"{}");
    let written =
        Document::new(docker::Manifest::new(config, vec![blob.clone()])).expect("written");
    let text = String::from_utf8(written.bytes().to_vec()).expect("UTF-8");
    assert_eq!(parsed::<Manifest>(&text).layers[0], blob);
    assert!(!LayerType::of(&blob.media_type).expect("a layer").nondistributable);
    let list = Document::new(docker::ManifestList::new(vec![blob])).expect("written");
    parsed::<Index>(std::str::from_utf8(list.bytes()).expect("UTF-8"));
}

#[test]
fn a_broken_healthcheck_is_no_matter_for_those_who_only_carry_it() {
    let text = config(r#","config":{"Healthcheck":{"Interval":1e+400}}"#);
    parsed::<Config>(&text);
    refused::<docker::Config>(&text);
    assert!(text.contains(DIGEST));
}
