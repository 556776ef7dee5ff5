//! Owners, modes, attributes, times and devices (MD).

use std::os::unix::net::UnixListener;

use crate::archive::Tar;
use crate::case::{image, layer, paths};
use crate::yard::{As, Yard};

#[test]
fn md01_bits_above_the_permissions() {
    let tar = Tar::new().owner(1, 2).mode(0o6755).file("suid", "#!").mode(0o1777).dir("tmp");
    layer(tar).accepted(|tree, who| {
        assert_eq!((tree["suid"].mode, tree["tmp"].mode), (0o6755, 0o1777));
        if who == As::Root {
            assert_eq!(tree["suid"].owner, (1, 2));
        }
    });
}

#[test]
fn md02_devices() {
    let device = |tar: Tar, kind, name| {
        tar.at(329, b"0000001\0").at(337, b"0000003\0").entry(kind, name, b"", b"")
    };
    let tar = device(device(Tar::new(), b'3', "null"), b'4', "disk").file("x", "");
    layer(tar.clone()).accepted(|tree, who| {
        assert!(tree.contains_key("x"));
        if who == As::Ordinary {
            assert_eq!(paths(tree), "x");
        }
    });
    let yard = Yard::new(As::Ordinary);
    yard.image(&[tar.into()]);
    let done = yard.run_small(&["unpack", "oci:layout:v1", "root"]);
    assert!(done.code == 0 && done.err.contains("(device-omitted)"), "{}", done.err);
}

#[test]
fn md03_a_pipe_and_a_file_over_it() {
    let pipe = Tar::new().entry(b'6', "p", b"", b"").entry(b'6', "q", b"", b"");
    image(move |_| {
        vec![pipe.clone().into(), Tar::new().file("p", "file").file(".wh.q", "").into()]
    })
    .accepted(|tree, _| assert_eq!((paths(tree), tree["p"].text()), ("p".into(), "file".into())));
    layer(Tar::new().entry(b'6', "p", b"", b""))
        .accepted(|tree, _| assert_eq!(tree["p"].kind, 'p'));
}

#[test]
fn md04_a_socket() {
    let yard = Yard::new(As::all()[0]);
    yard.image(&[Tar::new().file("x", "").into()]);
    std::fs::create_dir(yard.path("home/tree")).expect("made");
    let _socket = UnixListener::bind(yard.path("home/tree/socket")).expect("bound");
    let done = yard.run_small(&["pack", "home/tree", "oci:layout:v2"]);
    // No archive can hold it: it is left out, and that is said.
    assert!(done.code == 0 && done.err.contains("(socket-left-out)"), "{}", done.err);
    assert!(done.err.contains("packed 0 entries"), "{}", done.err);
    yard.intact(false);
    // The type of a file is not taken from the bits of its mode.
    layer(Tar::new().mode(0o140_644).file("s", ""))
        .accepted(|tree, _| assert_eq!(tree["s"].kind, 'f'));
}

/// The value of an extended attribute of a file that was unpacked.
fn xattr(yard: &Yard, path: &str, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 1024];
    let length = rustix::fs::lgetxattr(yard.path(path), name, &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}

fn unpacked(tar: &Tar, who: As, check: impl Fn(&Yard, &str)) {
    let yard = Yard::new(who);
    yard.image(&[tar.clone().into()]);
    let done = yard.run_small(&["unpack", "oci:layout:v1", "root"]);
    assert_eq!(done.code, 0, "{}", done.err);
    yard.intact(true);
    check(&yard, &done.err);
}

#[test]
fn md05_capabilities_of_files() {
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let tar =
        Tar::new().owner(5, 5).pax("SCHILY.xattr.security.capability", capability).file("f", "x");
    for who in As::all() {
        unpacked(&tar, *who, |yard, err| {
            let kept = xattr(yard, "root/f", "security.capability");
            match who {
                As::Root => assert_eq!(kept.as_deref(), Some(&capability[..])),
                As::Ordinary => assert!(kept.is_none() && err.contains("(xattr-not-set)"), "{err}"),
            }
        });
    }
}

#[test]
fn md06_labels_and_access_control_lists() {
    // Owner rw, user 5 r, group r, mask r, others nothing.
    let acl =
        b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x05\0\0\0\x04\0\x04\0\xff\xff\xff\xff\
        \x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    let tar = Tar::new()
        .pax("SCHILY.xattr.security.selinux", "label")
        .pax("SCHILY.xattr.system.posix_acl_access", acl)
        .mode(0o640)
        .file("f", "x");
    for who in As::all() {
        unpacked(&tar, *who, |yard, err| {
            assert!(err.contains("(xattr-dropped)"), "{err}");
            let kept = xattr(yard, "root/f", "system.posix_acl_access");
            assert!(kept.as_deref() == Some(acl) || err.contains("(xattr-not-set)"), "{err}");
            assert_eq!(yard.tree()["f"].mode, 0o640);
        });
    }
}

#[test]
fn md07_trusted_attributes_without_privileges() {
    let tar = Tar::new().pax("SCHILY.xattr.trusted.x", "1").file("f", "x");
    for who in As::all() {
        unpacked(&tar, *who, |yard, err| {
            let kept = xattr(yard, "root/f", "trusted.x");
            assert!(kept.is_some() || err.contains("(xattr-not-set)"), "{err}");
        });
    }
}

#[test]
fn md08_an_attribute_of_200_000_bytes() {
    layer(Tar::new().pax("SCHILY.xattr.user.a", vec![0; 200_000]).file("f", "")).refused("E_LIMIT");
    let many = (0..257).fold(Tar::new(), |tar, n| tar.pax(&format!("SCHILY.xattr.user.{n}"), "v"));
    layer(many.file("f", "")).refused("E_LIMIT");
}

#[test]
fn md11_times_far_away() {
    let tar = Tar::new().pax("mtime", "-1").file("a", "").pax("mtime", "-2208988800").file("b", "");
    layer(tar.pax("mtime", "8589934592").file("c", "")).accepted(|tree, _| {
        assert_eq!((tree["a"].time, tree["c"].time), ((-1, 0), (8_589_934_592, 0)));
    });
    layer(Tar::new().pax("mtime", "10000000000000000000").file("a", ""))
        .accepted_with(&["time-clamped"], |tree, _| assert_eq!(paths(tree), "a"));
    layer(Tar::new().pax("mtime", "1e19").file("a", "")).refused("E_LAYER");
}

#[test]
fn md13_nanoseconds() {
    layer(Tar::new().pax("mtime", "1700000000.123456789").file("a", ""))
        .accepted(|tree, _| assert_eq!(tree["a"].time, (1_700_000_000, 123_456_789)));
}

#[test]
fn md15_owners_that_the_kernel_does_not_have() {
    for id in ["4294967296", "4294967295", "-1", "18446744073709551616"] {
        layer(Tar::new().pax("uid", id).file("a", "")).refused("E_UNSAFE_ENTRY");
        layer(Tar::new().pax("gid", id).file("a", "")).refused("E_UNSAFE_ENTRY");
    }
    layer(Tar::new().gnu().at(108, [0xff; 8]).file("a", "")).refused("E_UNSAFE_ENTRY");
}

#[test]
fn md16_a_mode_with_too_many_bits() {
    layer(Tar::new().mode(0o177_777).file("a", ""))
        .accepted(|tree, _| assert_eq!((tree["a"].kind, tree["a"].mode), ('f', 0o7777)));
}

#[test]
fn md17_an_owner_that_the_user_can_not_give() {
    let tar = Tar::new().owner(1234, 4321).file("a", "");
    for who in As::all() {
        unpacked(&tar, *who, |yard, err| match who {
            As::Root => assert_eq!(yard.tree()["a"].owner, (1234, 4321)),
            As::Ordinary => {
                assert!(err.contains("(owner-recorded)"), "{err}");
                let value = xattr(yard, "root/a", "user.rootlesscontainers");
                assert_eq!(value.as_deref(), Some(&b"\x08\xd2\x09\x10\xe1\x21"[..]));
            }
        });
    }
}

#[test]
fn md18_the_name_of_one_owner_and_the_number_of_another() {
    layer(Tar::new().owner(1000, 1000).at(265, b"root\0").at(297, b"root\0").file("a", ""))
        .accepted(|tree, who| {
            if who == As::Root {
                assert_eq!(tree["a"].owner, (1000, 1000));
            }
        });
}

#[test]
fn md19_times_of_folders_that_are_filled_late() {
    image(|_| {
        let lower = Tar::new().dir("d").file("d/a", "").dir("d/e");
        vec![
            lower.into(),
            Tar::new().file("d/late", "").file("d/.wh.a", "").file("d/e/x", "").into(),
        ]
    })
    .accepted(|tree, _| {
        assert_eq!((tree["d"].time, tree["d/e"].time), ((1_000_000_000, 0), (1_000_000_000, 0)));
    });
}

#[test]
fn md20_a_tree_that_its_owner_may_not_change() {
    // It is removed nevertheless: by a later layer, and when that one fails.
    let closed = || {
        let tar = Tar::new().mode(0o500).dir("d").mode(0o000).dir("d/e").file("d/e/x", "");
        tar.mode(0o400).file("d/f", "")
    };
    image(move |_| vec![closed().into(), Tar::new().file(".wh.d", "").into()])
        .accepted(|tree, _| assert_eq!(paths(tree), ""));
    image(move |_| vec![closed().into(), Tar::new().file("../x", "").into()])
        .refused("E_UNSAFE_ENTRY");
}
