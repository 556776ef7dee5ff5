//! Images through a real registry (Debian's docker-registry on loopback),
//! between us and everybody else.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_interop::{Program, Scratch, peer, peers, run, shell};

/// A registry that ends with this.
pub(crate) struct Registry {
    child: Child,
    pub(crate) host: String,
}

impl Registry {
    /// Starts one; `None` has said `SKIP`.
    pub(crate) fn start(scratch: &Scratch) -> Option<Self> {
        Self::start_with(scratch, "", "")
    }

    /// The same with more in the settings of `http`, and in all.
    pub(crate) fn start_with(scratch: &Scratch, http: &str, more: &str) -> Option<Self> {
        let program = peer("docker-registry")?;
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = free.local_addr().expect("an address").to_string();
        drop(free);
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  \
             filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: {host}{http}}}\n{more}\n",
            scratch.text("registry")
        );
        fs::write(scratch.join("registry.yml"), config).expect("a file");
        let child = Command::new(&program.path)
            .arg("serve")
            .arg(scratch.join("registry.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry starts");
        let registry = Self { child, host };
        for _ in 0..200 {
            if TcpStream::connect(&registry.host).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the registry does not listen");
    }

    pub(crate) fn at(&self, rest: &str) -> String {
        format!("docker://{}/{rest}", self.host)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A layout `images` with an index of two platforms called `v1`, an index that
/// holds that index as `nested`, and an artifact about `v1`.
pub(crate) fn images(scratch: &Scratch) -> Program {
    let plimsoll = Program::new(scratch.path());
    for arch in ["amd64", "arm64"] {
        let tree = scratch.join(&format!("tree-{arch}"));
        fs::create_dir(&tree).expect("a folder");
        fs::write(tree.join("arch"), arch).expect("a file");
        // Long enough to be sent as it comes.
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let noise: Vec<u8> = (0..6_000_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        fs::write(tree.join("noise"), noise).expect("a file");
        let (tree, name) = (format!("tree-{arch}"), format!("oci:images:{arch}"));
        let platform = format!("linux/{arch}");
        plimsoll.good(&["pack", &tree, &name, "--platform", &platform, "--cmd", "/bin/sh"]);
    }
    plimsoll.good(&["index", "create", "oci:images:v1", "oci:images:amd64", "oci:images:arm64"]);
    fs::write(scratch.join("sbom.json"), "{}").expect("a file");
    let kind = ["--artifact-type", "application/vnd.example.sbom"];
    plimsoll.good(&["attach", "oci:images:v1", "sbom.json", kind[0], kind[1]]);
    plimsoll
}

pub(crate) fn digest(plimsoll: &Program, reference: &str) -> String {
    plimsoll.good(&["-q", "inspect", reference]).trim().to_owned()
}

#[test]
fn what_we_push_everybody_pulls_and_the_digest_stays() {
    let scratch = Scratch::new();
    let Some(registry) = Registry::start(&scratch) else { return };
    let plimsoll = images(&scratch);
    let name = registry.at("org/app:v1");
    plimsoll.good(&["push", "oci:images:v1", &name]);
    let ours = digest(&plimsoll, "oci:images:v1");
    assert_eq!(digest(&plimsoll, &name), ours);
    for (at, skopeo) in peers("skopeo").iter().enumerate() {
        let to = format!("oci:{}:v1", scratch.text(&format!("skopeo{at}")));
        let mut command = skopeo.command();
        command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--all"]);
        run(command.args(["--preserve-digests", &name, &to])).good("skopeo copy");
        assert_eq!(digest(&plimsoll, &to), ours);
    }
    let bare = name.strip_prefix("docker://").expect("a scheme");
    if let Some(crane) = peer("crane") {
        let mut command = crane.command();
        command.args(["digest", "--insecure", bare]);
        assert_eq!(run(&mut command).good("crane digest").trim(), ours);
        let mut command = crane.command();
        command.args(["validate", "--insecure", "--remote", bare]);
        run(&mut command).good("crane validate");
    }
    if let Some(oras) = peer("oras") {
        let mut command = oras.command();
        command.env("HOME", scratch.path());
        command.args(["manifest", "fetch", "--plain-http", "--descriptor", bare]);
        assert!(run(&mut command).good("oras manifest fetch").contains(&ours));
    }
    // Nothing is sent again, and another repository takes it over.
    let again = plimsoll.good(&["push", "--json", "oci:images:v1", &name]);
    assert!(!again.contains("\"copied\""), "{again}");
    let over = plimsoll.good(&["copy", "--json", &name, &registry.at("other/app:v1")]);
    let over: serde_json::Value = serde_json::from_str(&over).expect("JSON");
    let states = over["blobs"].as_array().expect("blobs").iter().map(|blob| blob["state"].clone());
    assert_eq!(states.filter(|state| state == "mounted").count(), 4, "{over:#}");
}

#[test]
fn what_others_push_we_pull_byte_for_byte() {
    let scratch = Scratch::new();
    let Some(registry) = Registry::start(&scratch) else { return };
    let plimsoll = images(&scratch);
    let layout = scratch.text("images");
    let ours = digest(&plimsoll, "oci:images:v1");
    for (at, skopeo) in peers("skopeo").iter().enumerate() {
        let to = registry.at(&format!("skopeo/app:v{at}"));
        let from = format!("oci:{layout}:v1");
        let mut command = skopeo.command();
        command.args(["--insecure-policy", "copy", "--dest-tls-verify=false", "--all"]);
        run(command.args(["--preserve-digests", &from, &to])).good("skopeo copy");
        plimsoll.good(&["pull", &to, &format!("skopeo:v{at}")]);
        assert_eq!(digest(&plimsoll, &format!("skopeo:v{at}")), ours);
    }
    if let Some(regctl) = peer("regctl") {
        let to = registry.at("regctl/app:v1");
        let bare = to.strip_prefix("docker://").expect("a scheme");
        let host = format!("reg={},tls=disabled", registry.host);
        let mut command = regctl.command();
        command.env("HOME", scratch.path());
        command.args(["--host", &host, "image", "copy", &format!("ocidir://{layout}:v1"), bare]);
        run(&mut command).good("regctl image copy");
        plimsoll.good(&["pull", &to, "regctl:v1"]);
        assert_eq!(digest(&plimsoll, "regctl:v1"), ours);
    }
    if let Some(oras) = peer("oras") {
        let to = registry.at("oras/file:v1");
        let bare = to.strip_prefix("docker://").expect("a scheme");
        let mut command = oras.command();
        command.env("HOME", scratch.path()).current_dir(scratch.path());
        command.args(["push", "--plain-http", bare, "--artifact-type", "a/b", "sbom.json"]);
        run(&mut command).good("oras push");
        plimsoll.good(&["copy", &to, "oci:artifact:v1"]);
        assert_eq!(digest(&plimsoll, "oci:artifact:v1"), digest(&plimsoll, &to));
        plimsoll.good(&["fsck", "oci:artifact"]);
    }
}

#[test]
fn a_registry_is_listed_unpacked_validated_and_run_as_other_places_are() {
    let scratch = Scratch::new();
    let Some(registry) = Registry::start(&scratch) else { return };
    let plimsoll = images(&scratch);
    let name = registry.at("org/app:v1");
    plimsoll.good(&["push", "oci:images:v1", &name]);
    plimsoll.good(&["tag", &name, "v2"]);
    assert_eq!(plimsoll.good(&["ls", &registry.at("")]), "org/app\n");
    assert_eq!(plimsoll.good(&["ls", "-q", &registry.at("org/app")]), "v1\nv2\n");
    plimsoll.good(&["validate", &name]);
    plimsoll.good(&["pull", &name, "--unpack", "out", "--platform", "linux/arm64"]);
    assert_eq!(fs::read_to_string(scratch.join("out/arch")).expect("unpacked"), "arm64");
    // One pass: nothing else was written.
    assert!(!scratch.join("data").exists());
    plimsoll.good(&["bundle", &name, "bundle", "--platform", "linux/amd64"]);
    assert!(scratch.join("bundle/config.json").exists());
    plimsoll.good(&["save", &name, "-o", "app.tar"]);
    let exact = plimsoll.good(&["show", &name, "manifest"]);
    assert_eq!(exact, plimsoll.good(&["show", "oci:images:v1", "manifest"]));
    let missing = plimsoll.run(&["pull", &registry.at("org/app:nope")]);
    assert_eq!(missing.code, 3, "{missing:?}");
    // This registry removes manifests, not tags.
    let ours = digest(&plimsoll, &name);
    let refused = plimsoll.run(&["rm", &registry.at("org/app:v2")]);
    assert!(refused.code == 1 && refused.err.contains("@DIGEST"), "{refused:?}");
    plimsoll.good(&["rm", &registry.at(&format!("org/app@{ours}"))]);
    assert_eq!(plimsoll.run(&["inspect", &name]).code, 3);
}

#[test]
fn referrers_travel_to_a_registry_without_the_api_and_back() {
    let scratch = Scratch::new();
    let Some(registry) = Registry::start(&scratch) else { return };
    let plimsoll = images(&scratch);
    let name = registry.at("org/app:v1");
    plimsoll.good(&["push", "--referrers", "oci:images:v1", &name]);
    let ours = plimsoll.good(&["referrers", "-q", "oci:images:v1"]);
    assert_eq!(plimsoll.good(&["referrers", "-q", &name]), ours);
    let kind = ["--artifact-type", "a/second"];
    plimsoll.good(&["attach", &name, "sbom.json", kind[0], kind[1]]);
    let both = plimsoll.good(&["referrers", "-q", &name]);
    assert_eq!(both.lines().count(), 2, "{both}");
    if let Some(oras) = peer("oras") {
        let bare = name.strip_prefix("docker://").expect("a scheme");
        let mut command = oras.command();
        command.env("HOME", scratch.path());
        command.args(["discover", "--plain-http", bare, "--format", "json"]);
        let found = run(&mut command).good("oras discover");
        assert!(both.lines().all(|digest| found.contains(digest)), "{found}");
    }
    plimsoll.good(&["copy", "--referrers", &name, "oci:back:v1"]);
    assert_eq!(plimsoll.good(&["referrers", "-q", "oci:back:v1"]), both);
}

/// Makes a certificate for this machine (`s.crt`, `s.key`) and who vouches for
/// it (`ca.crt`).
pub(crate) fn certificates(scratch: &Scratch) {
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca
        openssl req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=s
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >ext
        openssl x509 -req -in s.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out s.crt -days 30 \
            -extfile ext";
    shell(scratch.path(), &format!("({script}\n) 2>&1"));
}

/// `hunter2`, as htpasswd writes it.
pub(crate) const HTPASSWD: &str =
    "me:$2b$12$yW4as8fLD.7XcuKGAVLYJetWnrUUWHT4h33GT3iIHhQMIMrJbAFSy\n";

#[test]
fn encryption_and_logins_are_as_other_tools_have_them() {
    let scratch = Scratch::new();
    if peer("openssl").is_none() {
        return;
    }
    certificates(&scratch);
    fs::write(scratch.join("htpasswd"), HTPASSWD).expect("a file");
    let [cert, key] = ["s.crt", "s.key"].map(|name| scratch.text(name));
    let http = format!(", tls: {{certificate: {cert}, key: {key}}}");
    let more = format!("auth: {{htpasswd: {{realm: r, path: {}}}}}", scratch.text("htpasswd"));
    let Some(registry) = Registry::start_with(&scratch, &http, &more) else { return };
    let plimsoll = images(&scratch);
    let name = registry.at("org/app:v1");
    let strange = plimsoll.run(&["push", "oci:images:v1", &name]);
    assert!(strange.code == 5 && strange.err.contains("certificate"), "{strange:?}");
    // Where podman and skopeo look for it.
    let folder = scratch.join(&format!(".config/containers/certs.d/{}", registry.host));
    fs::create_dir_all(&folder).expect("folders");
    fs::copy(scratch.join("ca.crt"), folder.join("ca.crt")).expect("a file");
    let refused = plimsoll.run(&["push", "oci:images:v1", &name]);
    assert!(refused.code == 4 && refused.err.contains("plimsoll login"), "{refused:?}");
    let auth = scratch.text("auth.json");
    let program = plimsoll.path().display();
    let login = format!(
        "echo hunter2 | HOME={} {program} login {} -u me --password-stdin --authfile {auth}",
        scratch.path().display(),
        registry.host
    );
    shell(scratch.path(), &login);
    plimsoll.good(&["push", "oci:images:v1", &name, "--authfile", &auth]);
    let ours = digest(&plimsoll, "oci:images:v1");
    for (at, skopeo) in peers("skopeo").iter().enumerate() {
        let mut command = skopeo.command();
        command.args(["--insecure-policy", "copy", "--preserve-digests", "--all", &name]);
        command.arg(format!("oci:{}:v1", scratch.text(&format!("skopeo{at}"))));
        command.args(["--src-authfile", &auth, "--src-cert-dir"]).arg(&folder);
        run(&mut command).good("skopeo copy");
        assert_eq!(digest(&plimsoll, &format!("oci:skopeo{at}:v1")), ours);
    }
    // What skopeo keeps, we use.
    if let Some(skopeo) = peer("skopeo") {
        let theirs = scratch.text("theirs.json");
        let mut command = skopeo.command();
        command.args(["login", "-u", "me", "-p", "hunter2", "--authfile", &theirs]);
        run(command.arg("--cert-dir").arg(&folder).arg(&registry.host)).good("skopeo login");
        plimsoll.good(&["pull", &name, "back:v1", "--authfile", &theirs]);
    }
}

#[test]
fn settings_lead_us_where_they_lead_skopeo() {
    let scratch = Scratch::new();
    let Some(registry) = Registry::start(&scratch) else { return };
    let plimsoll = images(&scratch);
    let digest_of = |name: &str| digest(&plimsoll, name);
    plimsoll.good(&["push", "oci:images:amd64", &registry.at("mirror/app:v1")]);
    plimsoll.good(&["push", "oci:images:arm64", &registry.at("home/app:v2")]);
    plimsoll.good(&["push", "oci:images:v1", &registry.at("wild/app:v1")]);
    let host = &registry.host;
    let settings = format!(
        "unqualified-search-registries = ['{host}']\n[aliases]\nshort = 'name.test/org/app'\n\
         [[registry]]\nprefix = 'name.test/org'\nlocation = '{host}/home'\ninsecure = true\n\
         [[registry.mirror]]\nlocation = '127.0.0.1:1/m'\ninsecure = true\n\
         [[registry.mirror]]\nlocation = '{host}/mirror'\ninsecure = true\n\
         [[registry]]\nprefix = '*.wild.test'\nlocation = '{host}'\ninsecure = true\n\
         [[registry]]\nlocation = 'evil.test'\nblocked = true\n"
    );
    let folder = scratch.join(".config/containers");
    fs::create_dir_all(&folder).expect("folders");
    fs::write(folder.join("registries.conf"), settings).expect("a file");
    let names = [
        ("docker://name.test/org/app:v1", Some(digest_of("oci:images:amd64"))),
        ("docker://name.test/org/app:v2", Some(digest_of("oci:images:arm64"))),
        ("docker://a.wild.test/wild/app:v1", Some(digest_of("oci:images:v1"))),
        ("docker://evil.test/app:v1", None),
    ];
    for (name, expected) in &names {
        let done = plimsoll.run(&["-q", "inspect", name]);
        let found = (done.code == 0).then(|| done.out.trim().to_owned());
        assert_eq!(found, *expected, "{name}: {done:?}");
    }
    assert_eq!(digest_of("short:v1"), digest_of("oci:images:amd64"));
    for skopeo in peers("skopeo") {
        for (name, expected) in &names {
            let mut command = skopeo.command();
            command.env("HOME", scratch.path()).env_remove("XDG_CONFIG_HOME");
            command.args(["--insecure-policy", "inspect", "--raw", name]);
            let done = run(&mut command);
            let found = (done.code == 0).then(|| {
                let bytes = plimsoll.good(&["show", name, "manifest"]);
                assert_eq!(done.out, bytes, "{name}");
                digest_of(name)
            });
            assert_eq!(found, *expected, "{name}: {done:?}");
        }
    }
}

#[test]
fn many_images_are_mirrored_as_they_are() {
    let scratch = Scratch::new();
    let Some(registry) = Registry::start(&scratch) else { return };
    let plimsoll = images(&scratch);
    for (name, tag) in [("amd64", "v1.0"), ("arm64", "v1.1"), ("v1", "v2.0"), ("v1", "v2.1-rc1")] {
        let to = registry.at(&format!("org/app:{tag}"));
        plimsoll.good(&["push", "--referrers", &format!("oci:images:{name}"), &to]);
    }
    let host = &registry.host;
    let plan = format!(
        "[[image]]\nfrom = '{host}/org/app'\nto = '{host}/copies'\ntags = ['v*']\nexclude = ['*-rc*']\n\
         referrers = true\n\
         [[image]]\nfrom = '{host}/org/app'\nto = 'oci:layout'\nversions = '^1'\nnewest = 1\n"
    );
    fs::write(scratch.join("mirror.toml"), plan).expect("a file");
    plimsoll.good(&["mirror", "mirror.toml", "--dry-run"]);
    plimsoll.good(&["mirror", "mirror.toml"]);
    let again = plimsoll.good(&["mirror", "mirror.toml"]);
    assert!(again.contains("copied 0 images, 0 B; 4 there already; 0 failed"), "{again}");
    assert_eq!(
        plimsoll
            .good(&["ls", "-q", &format!("{host}/copies")])
            .lines()
            .filter(|tag| tag.starts_with('v'))
            .count(),
        3
    );
    assert_eq!(
        digest(&plimsoll, &format!("oci:layout:{host}/org/app:v1.1")),
        digest(&plimsoll, "oci:images:arm64")
    );
    plimsoll.good(&["fsck", "oci:layout"]);
    if let Some(crane) = peer("crane") {
        let mut command = crane.command();
        command.args(["digest", "--insecure", &format!("{host}/copies:v2.0")]);
        let found = run(&mut command).good("crane digest");
        assert_eq!(found.trim(), digest(&plimsoll, "oci:images:v1"));
    }
    for skopeo in peers("skopeo") {
        let name = registry.at("copies:v1.0");
        let mut command = skopeo.command();
        command.args(["--insecure-policy", "inspect", "--raw", "--tls-verify=false", &name]);
        let found = run(&mut command).good("skopeo inspect");
        assert_eq!(found, plimsoll.good(&["show", "oci:images:amd64", "manifest"]));
    }
}
