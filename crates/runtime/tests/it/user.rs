//! `Config.User` against hostile and ordinary `/etc/passwd` files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use plimsoll_content::Code;
use plimsoll_layer::Root;
use plimsoll_runtime::user::{self, User};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:An app:/home/app:/bin/sh
nohome:x:1001:1001:::
wrap:x:4294967296:4294967296::/:/bin/sh
big:x:2147483648:1::/:/bin/sh
1000:x:0:0::/root:/bin/sh
4294967296:x:0:0::/root:/bin/sh
short:x:5
badgid:x:1003:x::/:/bin/sh
equals:x:1004:1004::/a=b:/bin/sh
control:x:1005:1005::/a\rb:/bin/sh
ingroup:x:1006:1006::/:/bin/sh
top:x:2147483647:2147483647::/top:/bin/sh
";

const GROUP: &str = "\
root:x:0:
app:x:1000:
extra:x:2000:app
extra2:x:2001:app,root
again:x:2000:app
broken:x:-5:ingroup
7777:x:0:
";

/// An image with the two files.
struct Image(TempDir);

impl Image {
    fn new() -> Self {
        let image = Self::empty();
        image.write("passwd", PASSWD);
        image.write("group", GROUP);
        image
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("etc")).expect("made");
        Self(folder)
    }

    fn etc(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join("etc").join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.etc(name), content).expect("written");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn resolve(&self, text: &str) -> plimsoll_content::Result<User> {
        user::resolve(&Root::open(self.path()).expect("opened"), text)
    }

    /// `uid:gid groups home`, with a `!` per finding; or the error.
    fn line(&self, text: &str) -> String {
        match self.resolve(text) {
            Ok(user) => format!(
                "{}:{} {:?} {}{}",
                user.uid,
                user.gid,
                user.additional_gids,
                user.home,
                " !".repeat(user.findings.len())
            ),
            Err(error) => format!("{}: {error}", error.code()),
        }
    }
}

#[test]
fn gives_what_the_table_of_all_ways_to_name_a_user_says() {
    let image = Image::new();
    for (text, expected) in [
        ("", "0:0 [0, 2001] /root"),
        ("0", "0:0 [0, 2001] /root"),
        ("root", "0:0 [0, 2001] /root"),
        ("app", "1000:1000 [1000, 2000, 2001] /home/app"),
        ("1000", "1000:1000 [1000, 2000, 2001] /home/app"),
        ("0001000", "1000:1000 [1000, 2000, 2001] /home/app"),
        ("1234", "1234:0 [0] /"),
        ("1234:5678", "1234:5678 [5678] /"),
        ("1234:extra", "1234:2000 [2000] /"),
        ("1000:5678", "1000:5678 [5678] /home/app"),
        ("app:5678", "1000:5678 [5678] /home/app"),
        ("app:extra", "1000:2000 [2000] /home/app"),
        ("app:2000", "1000:2000 [2000] /home/app"),
        ("app:0", "1000:0 [0] /home/app"),
        (":extra", "0:2000 [2000] /root !"),
        (":5678", "0:5678 [5678] /root !"),
        ("app:", "1000:1000 [1000, 2000, 2001] /home/app !"),
        ("1000:", "1000:1000 [1000, 2000, 2001] /home/app !"),
        ("1234:", "1234:0 [0] / !"),
        ("nohome", "1001:1001 [1001] /"),
        ("2147483647", "2147483647:2147483647 [2147483647] /top"),
        ("0:2147483647", "0:2147483647 [2147483647] /root"),
        // A group of digits is a number, whatever the image calls its groups.
        ("app:7777", "1000:7777 [7777] /home/app"),
        ("nosuch", r#"E_CONFIG: user "nosuch": not in the image's /etc/passwd"#),
        ("nosuch:extra", r#"E_CONFIG: user "nosuch": not in the image's /etc/passwd"#),
        ("app:nosuch", r#"E_CONFIG: group "nosuch": not in the image's /etc/group"#),
        (":", r#"E_CONFIG: user ":": names nobody: expected USER or USER:GROUP"#),
        ("app:extra:x", r#"E_CONFIG: group "extra:x": no name holds ':'"#),
        ("APP", r#"E_CONFIG: user "APP": not in the image's /etc/passwd"#),
    ] {
        assert_eq!(image.line(text), expected, "User {text:?}");
    }
}

#[test]
fn rt01_a_number_that_others_cut_or_read_as_a_name_is_refused() {
    let image = Image::new();
    for text in
        ["2147483648", "4294967295", "4294967296", "4294968296", "18446744073709551616", "-1", "-0"]
    {
        let range = format!("{text:?}: out of range 0–2147483647");
        assert_eq!(image.line(text), format!("E_CONFIG: user {range}"));
        assert_eq!(image.line(&format!("app:{text}")), format!("E_CONFIG: group {range}"));
    }
    for text in ["+0", "+", "0x0", "0X0", "0b0", "0o0", " 0", "0 ", " ", "0\0", "0\n", "\t0", "a,b"]
    {
        let error = image.resolve(text).expect_err(text);
        assert_eq!(error.code(), Code::Config, "{text:?}");
        assert!(!error.to_string().contains("/etc/passwd"), "{text:?} was looked up: {error}");
    }
    assert_eq!(image.resolve(&"a".repeat(257)).expect_err("long").code(), Code::Config);
    assert_eq!(image.resolve(&"9".repeat(1 << 20)).expect_err("long").code(), Code::Config);
}

#[test]
fn rt02_numbers_in_the_image_neither_wrap_nor_stand_for_names() {
    let image = Image::new();
    // Lines named 1000 and 4294967296 map to user 0 in this image.
    assert_eq!(image.resolve("1000").expect("a number").uid, 1000);
    assert!(image.resolve("4294967296").is_err());
    for (name, line, what) in [
        ("wrap", 4, "user"),
        ("big", 5, "user"),
        ("short", 8, "group"),
        ("badgid", 9, "group"),
        ("1003", 9, "group"),
    ] {
        let expected = format!(
            "E_CONFIG: reading line {line} of the image's /etc/passwd: \
             found no usable {what} number, expected a number from 0 to 2147483647"
        );
        assert_eq!(image.line(name), expected, "{name}");
    }
    assert!(image.line("ingroup").contains("line 6 of the image's /etc/group"));
    assert_eq!(image.line("1006:1006"), "1006:1006 [1006] /", "the broken group is not asked for");
}

#[test]
fn rt03_a_home_that_would_break_the_environment_is_refused() {
    let image = Image::new();
    for name in ["equals", "control"] {
        assert!(image.line(name).contains("found a home folder with"), "{}", image.line(name));
    }
    for home in [&b"/a\0b"[..], b"/\xff", &[b'/'; 5000]] {
        image.write("passwd", [b"app:x:1:1::", home, b":/bin/sh\n"].concat());
        assert_eq!(image.resolve("app").expect_err("refused").code(), Code::Config);
        assert_eq!(image.resolve("1").expect_err("refused").code(), Code::Config);
        assert_eq!(image.line("2"), "2:0 [0] /", "another user does not need that line");
    }
}

#[test]
fn rt03_oversized_files_are_refused_by_budget() {
    let image = Image::new();
    let file = fs::File::create(image.etc("passwd")).expect("made");
    file.set_len(1 << 30).expect("grown");
    assert_eq!(image.resolve("app").expect_err("1 GiB").code(), Code::Limit);
    assert_eq!(image.resolve("0").expect_err("1 GiB").code(), Code::Limit);

    image.write("passwd", PASSWD);
    image.write("group", "g:x:1:app\n".repeat(1_000_000));
    assert_eq!(image.resolve("app").expect_err("10^6 groups").code(), Code::Limit);
    assert_eq!(image.line("app:0"), "1000:0 [0] /home/app", "no group is looked up");

    image.write("group", format!("g:x:1:{}\n", "app,".repeat(20_000)));
    assert!(image.line("app").contains("a line 1 of 80006 bytes"), "{}", image.line("app"));

    let most: Vec<_> = (0..user::LINES).map(|n| format!("g{n}:x:{n}:app")).collect();
    image.write("group", most.join("\n"));
    assert_eq!(image.resolve("app").expect("at the budget").additional_gids.len(), user::LINES);
}

#[test]
fn rt03_what_is_no_regular_file_is_refused_without_hanging() {
    for kind in ["fifo", "folder", "socket"] {
        let image = Image::new();
        for name in ["passwd", "group"] {
            let path = image.etc(name);
            fs::remove_file(&path).expect("removed");
            match kind {
                "fifo" => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).expect("made"),
                "folder" => fs::create_dir(&path).expect("made"),
                _ => drop(std::os::unix::net::UnixListener::bind(&path).expect("made")),
            }
            let error = image.resolve("app").expect_err(kind);
            if kind != "socket" {
                assert_eq!(error.code(), Code::Config, "{kind}: {error}");
                assert_eq!(error.found_text(), Some("not a regular file"), "{kind}");
            }
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            image.write(name, if name == "passwd" { PASSWD } else { GROUP });
        }
    }
}

#[test]
fn rt03_a_device_is_refused_without_opening_it_for_long() {
    let image = Image::new();
    fs::remove_file(image.etc("passwd")).expect("removed");
    // Major 1, minor 5: /dev/zero. Only root may make it.
    let device = rustix::fs::makedev(1, 5);
    if mknodat(CWD, image.etc("passwd"), FileType::CharacterDevice, Mode::RUSR, device).is_err() {
        eprintln!("skipped: making a device file needs root");
        return;
    }
    assert_eq!(image.resolve("app").expect_err("device").code(), Code::Config);
}

#[test]
fn rt03_links_lead_to_files_of_the_image_only() {
    let outside = tempfile::tempdir().expect("folder");
    fs::write(outside.path().join("passwd"), "app:x:666:666::/:/bin/sh\n").expect("written");
    let image = Image::empty();
    symlink(outside.path().join("passwd"), image.etc("passwd")).expect("linked");
    let error = image.resolve("app").expect_err("outside");
    assert_eq!(error.headline(), r#"user "app": not in the image's /etc/passwd"#);
    // Above the root is the root, so this one leads to itself.
    fs::remove_file(image.etc("passwd")).expect("removed");
    symlink("../../../../../../etc/passwd", image.etc("passwd")).expect("linked");
    assert!(image.resolve("root").is_err());
    // As NixOS has it: an absolute link to another file of the image.
    fs::remove_file(image.etc("passwd")).expect("removed");
    image.write("pw2", "app:x:77:77::/:/bin/sh\n");
    symlink("/etc/pw2", image.etc("passwd")).expect("linked");
    assert_eq!(image.line("app"), "77:77 [77] /");
    // A loop is an error, not a hang.
    fs::remove_file(image.etc("passwd")).expect("removed");
    symlink("passwd", image.etc("passwd")).expect("linked");
    assert!(image.resolve("app").is_err());
    // The link to the own process's root leads nowhere.
    fs::remove_file(image.etc("passwd")).expect("removed");
    symlink("/proc/self/root/etc/passwd", image.etc("passwd")).expect("linked");
    assert!(image.resolve("root").is_err());
}

#[test]
fn an_image_without_the_files_knows_numbers_only() {
    let image = Image::empty();
    assert_eq!(image.line(""), "0:0 [0] /");
    assert_eq!(image.line("5:6"), "5:6 [6] /");
    let error = image.resolve("app").expect_err("unknown");
    assert_eq!(error.found_text(), Some("no such file in the image"));
    assert!(error.fix_text().is_some());
    image.write("passwd", "app:x:1:2::/h:/bin/sh");
    assert_eq!(image.line("app"), "1:2 [2] /h", "no newline at the end, no /etc/group");
    fs::remove_dir_all(image.path().join("etc")).expect("removed");
    assert_eq!(image.line("0:0"), "0:0 [0] /");
}

#[test]
fn odd_lines_of_others_change_nothing() {
    let image = Image::new();
    image.write("passwd", format!("\n\n#app:x:9:9::/:\n:x:0:0::/:\n:::::::::\n+::::::\nzero\0:x:0:0::/:\n\r\n{PASSWD}app:x:0:0::/root:/bin/sh\n"));
    image.write("group", format!("\n:x:0:app2\n+:::\nx\n{GROUP}"));
    assert_eq!(image.line("app"), "1000:1000 [1000, 2000, 2001] /home/app");
    image.write("passwd", b"\xff\xfe:x:1:1::/:\napp:x:3:4::/:\n");
    assert_eq!(image.line("app"), "3:4 [4, 2000, 2001] /");
}

#[test]
fn an_image_whose_etc_is_a_file_has_no_users() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("etc"), "x").expect("written");
    let root = Root::open(folder.path()).expect("opened");
    let user = user::resolve(&root, "5:6").expect("numbers");
    assert_eq!((user.uid, user.gid), (5, 6));
    assert_eq!(user::resolve(&root, "app").expect_err("nobody").code(), Code::Config);
}
