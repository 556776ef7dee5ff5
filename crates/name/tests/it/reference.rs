//! The grammar of names, against the corpora of those who have one.

use plimsoll_content::Platform;
use plimsoll_name::{Host, Labels, Reference};
use proptest::prelude::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn read(text: &str) -> Reference {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    match text.parse::<Reference>() {
        Ok(read) => panic!("{text} was read as {read}"),
        Err(error) => error.expected_text().unwrap_or_default().to_owned(),
    }
}

#[test]
fn five_spellings_have_one_canonical_form() {
    let at = format!("example.com/org/app@{DIGEST}");
    let both = format!("example.com/org/app:v1@{DIGEST}");
    let fragment = format!("example.com/app#1.0@{DIGEST}");
    for (written, canonical) in [
        ("example.com/org/app:v1.0.0", "example.com/org/app:v1.0.0"),
        (&at, &*at),
        (&both, &both),
        (&fragment, &format!("example.com/app:1.0@{DIGEST}")),
        (
            "example.com/org/app,version=v1.0.0,os=linux,arch=amd64",
            "example.com/org/app:v1.0.0,os=linux,arch=amd64",
        ),
        (
            "example.com/org/app,arch=aarch64,version=v1,os=linux",
            "example.com/org/app:v1,os=linux,arch=arm64",
        ),
        ("example.com/app,arch=armv7l", "example.com/app,arch=arm,variant=v7"),
        ("example.com/app,arch=i386", "example.com/app,arch=386"),
        (
            "example.com/app,os.version=10.0.1,os=windows",
            "example.com/app,os=windows,os.version=10.0.1",
        ),
        ("example.com/app,z=1,channel=beta", "example.com/app,channel=beta,z=1"),
        ("example.com/app,version=1.0+build~2", "example.com/app,version=1.0+build~2"),
        ("example.com/app,version=1.0+build", "example.com/app#1.0+build"),
        ("example.com/app#1.0", "example.com/app:1.0"),
        ("example.com/app#a/b--c:d", "example.com/app#a/b--c:d"),
        ("example.com/app#a@b", "example.com/app#a@b"),
        ("example.com/org/app", "example.com/org/app"),
        ("EXAMPLE.com./app", "example.com/app"),
        ("bücher.example/app:v1", "xn--bcher-kva.example/app:v1"),
        ("BÜCHER.example/app", "xn--bcher-kva.example/app"),
        ("example.com:5000/app", "example.com:5000/app"),
        ("localhost/app", "localhost/app"),
        ("build:5000/app", "build:5000/app"),
        ("10.0.0.252/app", "10.0.0.252/app"),
        ("[2001:DB8:0:0::1]:5000/app", "[2001:db8::1]:5000/app"),
    ] {
        let name = read(written);
        assert_eq!(name.to_string(), canonical, "{written}");
        assert_eq!(read(canonical), name, "{written}");
    }
}

#[test]
fn the_parts_are_what_they_say() {
    let name = read(&format!("example.com/org/app:v1@{DIGEST},arch=amd64"));
    assert_eq!(name.which.as_ref().map(plimsoll_name::Ref::as_str), Some("v1"));
    assert_eq!(name.digest, Some(DIGEST.parse().expect("digest")));
    assert_eq!(name.name(), "example.com/org/app");
    assert_eq!(name.prefix().to_string(), "example.com/org/app");
    // Without `@`, a colon in front of the path is a port, never a version.
    assert_eq!(read("example.com:5000/app").host.port(), Some(5000));
    assert!(!read("example.com:5000/app").host.is_discoverable());
    assert!(read("example.com/app").host.is_discoverable());
    assert!(!read("127.0.0.1/app").host.is_discoverable());
}

#[test]
fn every_mistake_has_its_own_message() {
    let long = format!(
        "example.com/app,{}",
        (0..9).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",")
    );
    for (text, expected) in [
        ("app", "a domain and a path"),
        ("org/app", "short names are not searched for"),
        ("/app", "a domain, as in"),
        ("example.com/", "one slash between"),
        ("example.com//app", "one slash between"),
        ("example.com/app/", "one slash between"),
        ("example.com/../app", "no . and .."),
        ("example.com/./app", "no . and .."),
        ("example.com/App", "lower-case"),
        ("exa%6dple.com/app", "not % and a code"),
        ("user@example.com/app", "no user and password"),
        ("user:secret@example.com/app", "a number from 1 to 65535"),
        ("https://example.com/app", "no scheme"),
        ("example.com/app:v1,version=v2", "a tag or a version"),
        ("example.com/app:v1#v2", "a tag or a fragment"),
        ("example.com/app,os=linux#v2", "the fragment alone"),
        ("example.com/app,os=linux,os=linux", "each label once"),
        ("example.com/app,version=a,version=b", "each label once"),
        ("example.com/app,os", "KEY=VALUE"),
        ("example.com/app,OS=linux", "a key of"),
        ("example.com/app,os=", "a value of"),
        ("example.com/app,os=../x", "a value of"),
        ("example.com/app,arch=armv7l,variant=v6", "variant=v7"),
        (&long, "at most 8"),
        ("example.com/app#", "joined by"),
        ("example.com/app:", "at most 128"),
        ("example.com:0/app", "a number from 1"),
        ("example.com:00080/app", "a number from 1"),
        ("example.com:99999/app", "a number from 1"),
        ("a_b.com/app", "letters, digits and -"),
        ("-x.com/app", "letters, digits and -"),
        ("a..com/app", "letters, digits and -"),
        ("example.com../app", "letters, digits and -"),
        ("1.2.3/app", "an IPv4 address"),
        ("1.2.3.256/app", "an IPv4 address"),
        ("1.2.3.04/app", "an IPv4 address"),
        ("x.0x7f/app", "an IPv4 address"),
        ("[::1/app", "a closing ]"),
        ("[x]/app", "an IPv6 address"),
        ("xn--a.example/app", "a valid international name"),
        ("xn--.example/app", ""),
        ("example.com/app v1", "no white space"),
    ] {
        assert!(refusal(text).contains(expected), "{text}: {}", refusal(text));
    }
    for text in [&format!("example.com/app@{}", &DIGEST[..60]), "example.com/app@sha256:../x"] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}

/// What the reference grammar of container tools takes and refuses, as far as
/// a name has a domain.
#[test]
fn the_corpus_of_distribution_is_read_alike() {
    for (text, host, path, tag) in [
        ("test.com/repo:tag", "test.com", "repo", Some("tag")),
        ("test.com:5000/repo", "test.com:5000", "repo", None),
        ("test:5000/repo:tag", "test:5000", "repo", Some("tag")),
        ("lowercase.com/a/b/c:TAG", "lowercase.com", "a/b/c", Some("TAG")),
        (
            "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
            "sub-dom1.foo.com",
            "bar/baz/quux",
            Some("some-long-tag"),
        ),
        (
            "b.gcr.io/test.example.com/my-app:test.example.com",
            "b.gcr.io",
            "test.example.com/my-app",
            Some("test.example.com"),
        ),
        ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", Some("xn--n3h.com")),
        ("192.168.1.1:8080/repo", "192.168.1.1:8080", "repo", None),
        ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", None),
        ("[fd00:1:2::3]:75/a/b", "[fd00:1:2::3]:75", "a/b", None),
        ("foo.com/foo__bar/b---c", "foo.com", "foo__bar/b---c", None),
    ] {
        let name = read(text);
        assert_eq!((name.host.to_string().as_str(), name.path.as_str()), (host, path), "{text}");
        assert_eq!(name.which.as_ref().map(plimsoll_name::Ref::as_str), tag, "{text}");
    }
    for text in [
        "",
        ":justtag",
        "@sha256:e3b0",
        "repo@sha256:e3b0",
        "Uppercase:tag",
        "test.com/Uppercase/x",
        "a//b.com/c",
        "aa/asdf$$^/aa",
        "foo.com/foo_-bar",
        "foo.com/-foo",
        "foo.com/foo.",
        "[fd00:1:2::3",
        "[fe80::1%eth0]/repo",
        "[fe80::1%25eth0]:443/repo",
        "foo..com/bar",
        "foo.com/bar@sha256:abcd",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text:?}");
    }
    let long = format!("{}.com/app", "a".repeat(64));
    assert!(long.parse::<Reference>().is_err());
    let long = format!("{}.com/app", "a.".repeat(130));
    assert!(long.parse::<Reference>().is_err());
}

/// Names as AppC has them; its own mistakes are refused.
#[test]
fn the_corpus_of_appc_is_read_alike() {
    for (text, canonical) in [
        ("example.com/reduce-worker:1.0.0", "example.com/reduce-worker:1.0.0"),
        (
            "example.com/reduce-worker,channel=alpha,label=value",
            "example.com/reduce-worker,channel=alpha,label=value",
        ),
        ("example.com/app:1.2.3,special=!*", ""),
        ("example.com/app:1.2.3,special", ""),
        ("example.com/app:1.2.3,channel=beta,channel=beta", ""),
        ("example.com/app,version=1.2.3,arch=amd64", "example.com/app:1.2.3,arch=amd64"),
        // A version that is a path out of the folder.
        ("example.com/app,version=../../../x", ""),
    ] {
        match canonical {
            "" => assert!(text.parse::<Reference>().is_err(), "{text}"),
            canonical => assert_eq!(read(text).to_string(), canonical),
        }
    }
    // The specification's own example, which its identifiers do not allow.
    assert!("example.com/~user/app".parse::<Reference>().is_err());
    assert_eq!(
        Reference::parse_relaxed("example.com/~user/App_v1").expect("relaxed").path.as_str(),
        "~user/App_v1"
    );
}

/// Host-based image names; empty hosts, codes and double slashes are refused.
#[test]
fn the_corpus_of_oci_discovery_is_read_alike() {
    for (text, host, path, which) in [
        ("example.com/app#1.0", "example.com", "app", Some("1.0")),
        ("a.b.example.com/c/d#e", "a.b.example.com", "c/d", Some("e")),
        ("example.com/a", "example.com", "a", None),
        ("1.2.3.4/a", "1.2.3.4", "a", None),
        ("[2001:db8::7]/a", "[2001:db8::7]", "a", None),
    ] {
        let name = read(text);
        assert_eq!((name.host.to_string().as_str(), name.path.as_str()), (host, path), "{text}");
        assert_eq!(name.which.as_ref().map(plimsoll_name::Ref::as_str), which, "{text}");
    }
    for text in
        ["example.com", "/app", "exa%41mple.com/app", "example.com/a//b", "example.com/a%2Fb"]
    {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}

#[test]
fn a22_letters_that_look_alike_are_told() {
    let name = read("аpple.example/app");
    assert!(name.host.to_string().starts_with("xn--"), "{}", name.host);
    assert!(name.warnings()[0].contains("mixes scripts"), "{:?}", name.warnings());
    let name = read("аррӏе.example/app");
    assert!(name.warnings()[0].contains("looks like Latin"), "{:?}", name.warnings());
    for plain in
        ["example.com/app", "bücher.example/app", "пример.example/app", "日本語x.example/app"]
    {
        assert!(read(plain).warnings().is_empty(), "{plain}: {:?}", read(plain).warnings());
    }
    assert_eq!(read("bücher.example/a").host.unicode().as_deref(), Some("bücher.example"));
    assert_eq!(read("EXAMPLE.com./a"), read("example.com/a"));
    // Letters that fold to others are those others.
    assert_eq!("ｅxample.com".parse::<Host>().expect("host").to_string(), "example.com");
    let long = format!("example.com/{}", "a".repeat(250));
    assert!(read(&long).warnings()[0].contains("255"));
}

#[test]
fn labels_choose_platforms() {
    let labels = read("example.com/app,os=linux,arch=arm").labels;
    for (platform, fits) in [
        (Some("linux/arm/v7"), true),
        (Some("linux/arm/v6"), true),
        (Some("linux/arm64"), false),
        (None, true),
    ] {
        let platform: Option<Platform> = platform.map(|text| text.parse().expect("platform"));
        assert_eq!(labels.fits(platform.as_ref()), fits, "{platform:?}");
    }
    let labels = read("example.com/app,arch=armv6l").labels;
    assert!(!labels.fits(Some(&"linux/arm/v7".parse().expect("platform"))));
    assert_eq!(labels.platform().expect("platform").to_string(), "linux/arm/v6");
    assert!(Labels::default().is_empty());
}

proptest! {
    #[test]
    fn printing_and_reading_are_inverse(text in "(EX[aä]mple\\.com|[a-z]{1,3}:[1-9][0-9]{0,3}|\\[::[0-9a-f]{1,4}\\])/[a-z0-9._/-]{1,8}(:[A-Za-z0-9._-]{1,5})?(#[a-zA-Z0-9@:+/._-]{1,9})?(@(sha256|md5):[a-f0-9]{2,4})?(,(version|os|arch|variant|os\\.version|[a-z]{1,2})=[a-z0-9+/~.]{1,5}){0,3}") {
        if let Ok(name) = text.parse::<Reference>() {
            let printed = name.to_string();
            let again: Reference = printed.parse().map_err(|error| TestCaseError::fail(format!("{text} -> {printed}: {error}")))?;
            prop_assert_eq!(&again, &name, "{} -> {}", text, printed);
            prop_assert_eq!(again.to_string(), printed);
        }
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,60}") {
        if let Ok(name) = text.parse::<Reference>() {
            prop_assert_eq!(name.to_string().parse::<Reference>().expect("printed"), name);
        }
        let _ = Reference::parse_relaxed(&text);
    }

    #[test]
    fn a7_no_name_is_covered_by_half_a_part(path in "[a-z]{1,3}(/[a-z]{1,3}){0,2}", more in "[a-z]{1,3}") {
        let prefix = read(&format!("example.com/{path}")).prefix();
        let (glued, below) = (format!("example.com/{path}{more}"), format!("example.com/{path}/{more}"));
        prop_assert!(!prefix.covers(&read(&glued).prefix()));
        prop_assert!(prefix.covers(&read(&below).prefix()));
    }
}
