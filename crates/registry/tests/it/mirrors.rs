//! Repositories that are read in several places.

use std::sync::Arc;

use plimsoll_content::{Code, Descriptor, Resolve, Result, Sink, Source, Tag};
use plimsoll_registry::client::{Asked, By, Client, Options, Remote, Trail};
use plimsoll_registry::conf::Conf;
use plimsoll_registry::protocol::Image;

use crate::server::{Reply, Server};
use crate::{blob, bytes, options, read};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn client() -> (Arc<Client>, Trail) {
    let trail = Trail::default();
    (Client::new(Options { trail: trail.clone(), ..options() }), trail)
}

/// An image as settings lead to it.
fn along(client: &Arc<Client>, settings: &str, name: &str) -> Result<Remote> {
    let conf = Conf::parse(settings.as_bytes())?;
    let image: Image = name.parse()?;
    let repository = image.repository.expect("a repository");
    let route = conf.route(&image.host, Some(&repository), image.address.as_ref())?;
    let asked = Asked { host: image.host, repository, address: image.address, called: None };
    client.along(asked, route)
}

/// `name.test/org` lies at one server, and its mirrors at others.
fn settings(at: &Server, mirrors: &[&Server]) -> String {
    let mirrors: Vec<_> =
        mirrors.iter().map(|mirror| format!("{{location = '{}/m'}}", mirror.host)).collect();
    format!(
        "[[registry]]\nprefix = 'name.test/org'\nlocation = '{}/l'\nmirror = [{}]\n",
        at.host,
        mirrors.join(",")
    )
}

#[test]
fn the_first_mirror_that_has_the_image_gives_it_and_nothing_else_is_asked() {
    let (home, empty, full) = (Server::new(), Server::new(), Server::new());
    let digest = full.add_manifest("m/app", "v1", MANIFEST, b"{}");
    let content = bytes(100);
    let layer = full.add_blob(&content);
    let (client, trail) = client();
    let remote =
        along(&client, &settings(&home, &[&empty, &full]), "name.test/org/app:v1").expect("a way");
    assert_eq!(remote.resolve("v1").expect("resolved").digest, digest);
    assert_eq!(read(&remote, &blob(&layer, 100)).expect("a blob"), content);
    assert!(remote.holds(&blob(&layer, 100)).expect("asked"));
    assert_eq!(home.seen().len(), 0);
    assert_eq!(empty.count("GET", "/v2/m/app/manifests/v1"), 1);
    assert_eq!(empty.count("GET", "/blobs/"), 0);
    let steps = trail.steps();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].name, "docker://name.test/org/app:v1");
    assert_eq!(steps[0].by, [By::Mirror]);
    assert_eq!(steps[0].place, format!("docker://{}/m/app:v1", full.host));
    assert_eq!(steps[0].tried.len(), 1);
    // It is called as it was written.
    assert_eq!(remote.to_string(), "docker://name.test/org/app");
}

#[test]
fn where_no_mirror_has_it_the_location_does() {
    let (home, empty) = (Server::new(), Server::new());
    let digest = home.add_manifest("l/app", "v1", MANIFEST, b"{}");
    let (client, trail) = client();
    let settings = settings(&home, &[&empty]);
    let remote = along(&client, &settings, "name.test/org/app:v1").expect("a way");
    assert_eq!(remote.resolve("v1").expect("resolved").digest, digest);
    assert_eq!(trail.steps()[0].by, [By::Location]);
    let missing = along(&client, &settings, "name.test/org/app:v2").expect("a way");
    let error = missing.resolve("v2").expect_err("nowhere");
    assert_eq!(error.code(), Code::NotFound);
    assert!(format!("{error:?}").contains(&empty.host), "{error:?}");
}

#[test]
fn a_mirror_that_lies_is_passed_over() {
    let home = Server::new();
    let liar = Server::spoilt(|seen, _, mut reply| {
        if seen.is("GET", "/manifests/") {
            reply.body = b"[]".to_vec();
        }
        reply
    });
    let digest = home.add_manifest("l/app", "v1", MANIFEST, b"{}");
    liar.add_manifest("m/app", "v1", MANIFEST, b"{}");
    let (client, _) = client();
    let name = format!("name.test/org/app@{digest}");
    let remote = along(&client, &settings(&home, &[&liar]), &name).expect("a way");
    assert_eq!(remote.resolve(&digest.to_string()).expect("resolved").digest, digest);
    assert_eq!(home.count("GET", "/manifests/"), 1);
}

#[test]
fn a_blob_that_breaks_off_at_a_mirror_goes_on_where_it_is() {
    let content = bytes(5_000);
    let home = Server::new();
    let mirror = Server::spoilt(|seen, before, mut reply| {
        if seen.is("GET", "/blobs/") {
            if before > 0 {
                return Reply::new(503, b"");
            }
            reply.cut = Some(1_234);
        }
        reply
    });
    home.add_blob(&content);
    let digest = mirror.add_blob(&content);
    mirror.add_manifest("m/app", "v1", MANIFEST, b"{}");
    let (client, _) = client();
    let remote =
        along(&client, &settings(&home, &[&mirror]), "name.test/org/app:v1").expect("a way");
    remote.resolve("v1").expect("resolved");
    assert_eq!(read(&remote, &blob(&digest, 5_000)).expect("a blob"), content);
    let seen = home.seen();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.is("GET", "/blobs/")).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("range"), Some("bytes=1234-"));
}

#[test]
fn a_blob_that_a_mirror_lacks_comes_from_where_it_is() {
    let (home, mirror) = (Server::new(), Server::new());
    mirror.add_manifest("m/app", "v1", MANIFEST, b"{}");
    let content = bytes(10);
    let digest = home.add_blob(&content);
    let (client, _) = client();
    let remote =
        along(&client, &settings(&home, &[&mirror]), "name.test/org/app:v1").expect("a way");
    remote.resolve("v1").expect("resolved");
    assert_eq!(read(&remote, &blob(&digest, 10)).expect("a blob"), content);
}

#[test]
fn nothing_is_written_to_a_mirror() {
    let (home, mirror) = (Server::new(), Server::new());
    mirror.add_manifest("m/app", "v1", MANIFEST, b"{}");
    let (client, _) = client();
    let remote =
        along(&client, &settings(&home, &[&mirror]), "name.test/org/app:v1").expect("a way");
    let image = remote.resolve("v1").expect("resolved");
    let content = Descriptor::of("a/b".into(), image.digest.algorithm().expect("known"), b"x");
    (&remote as &dyn Sink).write(&content, b"x").expect("written");
    remote.tag("v2", &image).expect("tagged");
    assert!(home.content().tags.contains_key(&("l/app".into(), "v2".into())));
    assert!(mirror.seen().iter().all(|seen| seen.method == "GET"));
}

#[test]
fn what_may_be_in_the_clear_is_that_place_alone() {
    let (client, _) = client();
    let insecure = "[[registry]]\nlocation = 'h.invalid/org'\ninsecure = true\n";
    let remote = along(&client, insecure, "h.invalid/org/app:v1").expect("a way");
    assert!(remote.client().may_be_insecure(remote.host()));
    let other = along(&client, insecure, "h.invalid/other/app:v1").expect("a way");
    assert!(!other.client().may_be_insecure(other.host()));
}

#[test]
fn offline_nothing_is_asked() {
    let server = Server::new();
    let client = Client::new(Options { offline: true, ..options() });
    let host = server.host.parse().expect("host");
    let remote = client.remote(host, "org/app".parse().expect("name"));
    let error = remote.resolve("v1").expect_err("offline");
    assert_eq!(error.code(), Code::Offline);
    assert!(error.to_string().contains("/v2/org/app/manifests/v1"), "{error}");
    assert_eq!(client.catalogue(remote.host()).expect_err("offline").code(), Code::Offline);
    assert_eq!(server.seen().len(), 0);
}
