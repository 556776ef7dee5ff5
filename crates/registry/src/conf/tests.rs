//! The settings of registries, read and followed.

use proptest::prelude::*;

use super::*;
use crate::protocol::{Address, Image};

fn conf(text: &str) -> Conf {
    Conf::parse(text.as_bytes()).expect(text)
}

/// The places of an image, mirrors first; `!` is one that may be spoken to in
/// the clear.
fn places(conf: &Conf, name: &str) -> Result<Vec<String>> {
    let image: Image = name.parse().expect(name);
    let route = conf.route(&image.host, image.repository.as_ref(), image.address.as_ref())?;
    let shown = |way: &Way| {
        let Way { host, repository, address, insecure } = way.clone();
        let mark = if insecure { "!" } else { "" };
        format!("{mark}{}", Image { host, repository, address })
    };
    Ok(route.mirrors.iter().chain([&route.location]).map(shown).collect())
}

fn go(conf: &Conf, name: &str) -> Vec<String> {
    places(conf, name).expect(name)
}

/// The example of the manual page.
const MANUAL: &str = r#"
unqualified-search-registries = ["example.com"]

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"

[[registry.mirror]]
location = "mirror.registry.com"
"#;

#[test]
fn the_example_of_the_manual_page_holds() {
    let conf = conf(MANUAL);
    assert_eq!(
        go(&conf, "example.com/foo/image:latest"),
        [
            "example-mirror-0.local/mirror-for-foo/image:latest",
            "!example-mirror-1.local/mirrors/foo/image:latest",
            "internal-registry-for-example.com/bar/image:latest"
        ]
    );
    assert_eq!(
        go(&conf, "registry.com/image:latest"),
        ["mirror.registry.com/image:latest", "registry.com/image:latest"]
    );
    // Nothing but an image is asked for at mirrors.
    assert_eq!(go(&conf, "registry.com/image"), ["registry.com/image"]);
    assert_eq!(go(&conf, "registry.com"), ["registry.com"]);
    assert_eq!(go(&conf, "example.com/foobar:v1"), ["example.com/foobar:v1"]);
    let found = conf.meanings("app:v1").expect("meanings");
    assert_eq!(found, [Meaning { name: "example.com/app:v1".into(), how: How::Search }]);
}

#[test]
fn the_longest_prefix_decides_at_its_borders() {
    let conf = conf(
        r#"
        registry = [
          { prefix = "*.example.com", location = "all.test" },
          { prefix = "*.deep.example.com", insecure = true },
          { prefix = "a.example.com", location = "a.test/x" },
          { prefix = "a.example.com/org", location = "org.test" },
          { prefix = "a.example.com/org/app:v1", location = "one.test/app:v2" },
          { prefix = "h:5000", location = "port.test" },
        ]"#,
    );
    for (name, place) in [
        ("b.example.com/app:v1", "all.test/app:v1"),
        ("c.b.example.com/app:v1", "all.test/app:v1"),
        ("example.com/app:v1", "example.com/app:v1"),
        ("bexample.com/app:v1", "bexample.com/app:v1"),
        ("x.deep.example.com:5000/app:v1", "!x.deep.example.com:5000/app:v1"),
        ("a.example.com/app:v1", "a.test/x/app:v1"),
        ("a.example.com:5000/app:v1", "all.test:5000/app:v1"),
        ("a.example.com/org/app:v2", "org.test/app:v2"),
        ("a.example.com/organ/app:v1", "a.test/x/organ/app:v1"),
        ("a.example.com/org/app:v1", "one.test/app:v2"),
        ("a.example.com/org/app:v10", "org.test/app:v10"),
        ("h:5000/app:v1", "port.test/app:v1"),
        ("h:50001/app:v1", "h:50001/app:v1"),
        ("h/app:v1", "h/app:v1"),
    ] {
        assert_eq!(go(&conf, name), [place], "{name}");
    }
}

#[test]
fn what_is_blocked_is_refused_by_name() {
    let conf = conf(
        r#"
        [[registry]]
        prefix = "evil.example/org"
        blocked = true
        [[registry]]
        prefix = "*.evil.example"
        blocked = true
        "#,
    );
    for name in ["evil.example/org/app:v1", "x.evil.example:5000/a", "x.evil.example"] {
        let error = places(&conf, name).expect_err(name);
        assert_eq!(error.code(), Code::Blocked);
        assert!(error.to_string().contains("evil.example"), "{error}");
    }
    assert!(places(&conf, "evil.example/other:v1").is_ok());
}

#[test]
fn mirrors_are_asked_for_what_they_are_for() {
    let conf = conf(
        r#"
        [[registry]]
        location = "a.test"
        mirror-by-digest-only = true
        mirror = [{ location = "m.test" }]
        [[registry]]
        location = "b.test"
        mirror = [
          { location = "all.test", pull-from-mirror = "all" },
          { location = "digests.test", pull-from-mirror = "digest-only" },
          { location = "tags.test", pull-from-mirror = "tag-only" },
        ]"#,
    );
    let digest = format!("sha256:{}", "0".repeat(64));
    let hosts = |name: &str| {
        let places = go(&conf, name).into_iter();
        places.map(|place| place.split('/').next().expect("a host").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hosts("a.test/x:v1"), ["a.test"]);
    assert_eq!(hosts(&format!("a.test/x@{digest}")), ["m.test", "a.test"]);
    assert_eq!(hosts("b.test/x:v1"), ["all.test", "tags.test", "b.test"]);
    assert_eq!(hosts(&format!("b.test/x@{digest}")), ["all.test", "digests.test", "b.test"]);
}

#[test]
fn names_of_docker_hub_are_whole_ones() {
    let conf = conf(
        "[[registry]]\nprefix = 'docker.io/library/app'\nlocation = 'mine.test/app'\n\
         [[registry]]\nprefix = 'docker.io'\n[[registry.mirror]]\nlocation = 'hub.test'\n",
    );
    assert_eq!(go(&conf, "docker.io/app:v1"), ["mine.test/app:v1"]);
    assert_eq!(
        go(&conf, "index.docker.io/other:v1"),
        ["hub.test/library/other:v1", "index.docker.io/library/other:v1"]
    );
}

#[test]
fn later_files_take_the_place_of_earlier_ones() {
    let mut all = conf(
        "unqualified-search-registries = ['one.test', 'two.test']\n\
         [aliases]\na = 'a.test/a'\nb = 'b.test/b'\n[[registry]]\nlocation = 'x.test'\nblocked = true\n",
    );
    let two =
        |how| ["one.test/c:v1", "two.test/c:v1"].map(|name| Meaning { name: name.into(), how });
    assert_eq!(all.meanings("c:v1").expect("meanings"), two(How::Search));
    all.merge(conf("[aliases]\na = ''\nb = 'c.test/b'\n[[registry]]\nlocation = 'x.test'\n"));
    assert!(places(&all, "x.test/a:v1").is_ok());
    assert_eq!(all.meanings("c:v1").expect("meanings"), two(How::Search));
    assert_eq!(all.meanings("a").expect("meanings")[0].name, "one.test/a");
    let digest = format!("sha256:{}", "0".repeat(64));
    let alias = |name: String| vec![Meaning { name, how: How::Alias }];
    assert_eq!(all.meanings("b:v1").expect("meanings"), alias("c.test/b:v1".into()));
    assert_eq!(
        all.meanings(&format!("b@{digest}")).expect("meanings"),
        alias(format!("c.test/b@{digest}"))
    );
    all.merge(conf("short-name-mode = 'enforcing'\n"));
    assert_eq!(all.meanings("c").expect_err("two").code(), Code::Reference);
    all.merge(conf("unqualified-search-registries = []\n"));
    assert_eq!(all.meanings("c").expect("nothing"), []);
    assert_eq!(Conf::default().meanings("app").expect("no hub"), []);
}

#[test]
fn the_old_form_is_read() {
    let conf = conf(
        "[registries.search]\nregistries = ['s.test']\n[registries.insecure]\nregistries = ['i.test']\n\
         [registries.block]\nregistries = ['b.test']\n",
    );
    assert_eq!(conf.meanings("a").expect("meanings")[0].name, "s.test/a");
    assert_eq!(go(&conf, "i.test/a:v1"), ["!i.test/a:v1"]);
    assert!(places(&conf, "b.test/a:v1").is_err());
}

#[test]
fn what_can_not_be_meant_is_refused() {
    for bad in [
        "[[registry]]\n",
        "[[registry]]\nprefix = 'https://a.test'",
        "[[registry]]\nlocation = 'a b'",
        "[[registry]]\nprefix = 'a.*.test'",
        "[[registry]]\nprefix = '*.a.test/x'",
        "[[registry]]\nprefix = '*.a.test:5000'",
        "[[registry]]\nprefix = '*'",
        "[[registry]]\nlocation = 'a.test'\nblocked = 'no'",
        "[[registry]]\nlocation = 'a.test'\nmirror = [{}]",
        "[[registry]]\nlocation = 'a.test'\nmirror = [{location = 'b', pull-from-mirror = 'x'}]",
        "[[registry]]\nlocation = 'a.test'\nmirror-by-digest-only = true\n\
         mirror = [{location = 'b', pull-from-mirror = 'all'}]",
        "[[registry]]\nlocation = 'a.test'\n[[registry]]\nlocation = 'a.test'\nblocked = true",
        "short-name-mode = 'x'",
        "[aliases]\n'a.test/x' = 'b.test/x'",
        "[aliases]\n'a:v1' = 'b.test/x'",
        "[aliases]\na = 'b.test/x:v1'",
        "[aliases]\na = 'b.test'",
        "unqualified-search-registries = ['http://a']",
        "unqualified-search-registries = ['a']\n[registries.search]\nregistries = ['b']",
    ] {
        assert_eq!(Conf::parse(bad.as_bytes()).expect_err(bad).code(), Code::Malformed);
    }
    // A name that a location makes no name of.
    let conf = conf("[[registry]]\nprefix = 'a.test/x'\nlocation = 'b.test:80'\n");
    assert_eq!(places(&conf, "a.test/x:v1").expect_err("no repository").code(), Code::Malformed);
    // What is unknown means nothing.
    assert!(Conf::parse(b"x = 1\n[[registry]]\nlocation = 'a'\ny = 2\n").is_ok());
}

proptest! {
    #[test]
    fn reading_never_panics(text in "[\\PC\\n]{0,200}") {
        let _ = Conf::parse(text.as_bytes());
    }

    #[test]
    fn a_rule_holds_for_what_is_below_it_and_for_nothing_else(
        host in "[a-z]{1,3}(\\.[a-z]{1,3}){0,2}(:5000)?",
        path in "[a-z]{1,3}(/[a-z]{1,3}){0,2}",
        prefix in "[a-z]{1,3}(\\.[a-z]{1,3}){0,2}(:5000)?(/[a-z]{1,3}){0,2}",
    ) {
        let name = format!("{host}/{path}");
        let text = format!("[[registry]]\nprefix = '{prefix}'\nlocation = 'new.test/p'\n");
        let conf = conf(&text);
        let image: Image = format!("{name}:v1").parse().expect("a name");
        let address: &Address = image.address.as_ref().expect("a tag");
        let route = conf.route(&image.host, image.repository.as_ref(), Some(address));
        let below = name == prefix || name.starts_with(&format!("{prefix}/"));
        let way = route.expect("a route").location;
        let place = format!("{}/{}", way.host, way.repository.expect("a repository"));
        let expected = if below { format!("new.test/p{}", &name[prefix.len()..]) } else { name };
        prop_assert_eq!(place, expected);
    }
}

#[test]
fn the_last_file_that_names_keepers_of_logins_counts() {
    let helper = |name: &str| Keeper::Helper(name.to_owned());
    let mut all = conf("");
    assert_eq!(all.keepers(), [Keeper::Files]);
    all.merge(conf("credential-helpers = ['pass', 'containers-auth.json']\n"));
    all.merge(conf("credential-helpers = []\n"));
    all.merge(conf("short-name-mode = 'disabled'\n"));
    assert_eq!(all.keepers(), [helper("pass"), Keeper::Files]);
    all.merge(conf("credential-helpers = ['other']\n"));
    assert_eq!(all.keepers(), [helper("other")]);
    for bad in ["['a/b']", "['']", "'pass'", "[1]"] {
        let text = format!("credential-helpers = {bad}\n");
        assert!(Conf::parse(text.as_bytes()).is_err(), "{bad}");
    }
}
