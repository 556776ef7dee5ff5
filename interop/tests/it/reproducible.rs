//! One tree, one digest: whoever packs it, wherever it lies, however the
//! system is set up and with any number of threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_interop::{Program, Scratch, peer, run, shell, skip};
use rustix::process::geteuid;

/// The account that `interop/setup` makes.
const ACCOUNT: &str = "plimsoll-interop";

/// How the system is set up: a script before the program starts.
const SETTINGS: [&str; 2] = [
    "umask 022; export TZ=UTC LC_ALL=C.UTF-8",
    "umask 077; export TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 LANG=de_DE USER=x HOME=/ TMPDIR=/var/tmp",
];

#[test]
fn the_digest_is_the_same_everywhere_for_everybody_with_any_number_of_threads() {
    let scratch = Scratch::new();
    let program = Program::copied(scratch.path());
    let ext4 = Ext4::new(&scratch);
    let shm = tempfile::Builder::new().prefix("plimsoll-").tempdir_in("/dev/shm");
    if shm.is_err() {
        skip("packing from tmpfs: /dev/shm can not be written");
    }
    let mut places = vec![("folder", scratch.join("deep/in/a/folder"))];
    places.extend(shm.iter().map(|folder| ("tmpfs", folder.path().to_owned())));
    places.extend(ext4.iter().map(|mounted| ("ext4", mounted.0.clone())));

    let mut digests: Vec<(&str, String, String)> = Vec::new();
    for (number, (file_system, place)) in places.iter().enumerate() {
        shell(scratch.path(), &format!("umask 022; mkdir -p {0}; chmod 755 {0}", place.display()));
        for person in people() {
            let tree = place.join(person.name.replace(' ', "-"));
            make(&tree, &person, number);
            for (at, settings) in SETTINGS.iter().enumerate() {
                for (compression, jobs) in [("gzip", [1, 8][at]), ("zstd", [8, 1][at])] {
                    let words = format!("-j {jobs} --compression {compression}");
                    let output = scratch.join(&format!("out-{}", digests.len()));
                    fs::create_dir(&output).expect("a folder can be made");
                    person.gets(&output);
                    let script = format!(
                        "{settings}; cd {}; exec {} pack -q {} oci:{}:v1 {words}",
                        // The input is named in another way, too.
                        [tree.parent().expect("it has one"), &tree][at].display(),
                        program.path().display(),
                        [tree.file_name().expect("it has one").display().to_string(), ".".into()]
                            [at],
                        output.join("layout").display(),
                    );
                    let digest = person.does(&script).trim().to_owned();
                    let what = format!("{file_system}, {}, settings {at}, -j {jobs}", person.name);
                    digests.push((compression, what, digest));
                }
            }
        }
    }
    for compression in ["gzip", "zstd"] {
        let mut of = digests.iter().filter(|(name, ..)| *name == compression);
        let (_, first, digest) = of.next().expect("one at least");
        for (_, what, other) in of {
            assert_eq!(digest, other, "{compression}: {first} and {what}");
        }
    }
    assert_ne!(digests[0].2, digests[1].2, "the compression is told apart");
}

/// Who packs.
struct Person {
    name: &'static str,
    /// What stands before a command.
    before: Vec<&'static str>,
}

/// This user; and, for root, an ordinary one; and one that is root in a user
/// namespace of its own.
fn people() -> Vec<Person> {
    let mut people = vec![Person { name: "this user", before: Vec::new() }];
    let mut ordinary = Vec::new();
    if geteuid().is_root() {
        let known = Command::new("id").arg(ACCOUNT).output().is_ok_and(|it| it.status.success());
        if !known {
            skip("an ordinary user beside root: interop/setup makes the account");
            return people;
        }
        ordinary = vec!["runuser", "-u", ACCOUNT, "--"];
        people.push(Person { name: "ordinary user", before: ordinary.clone() });
    }
    let inside =
        Person { name: "user namespace", before: [&ordinary[..], &["unshare", "-r"]].concat() };
    if run(&mut inside.command("true")).code == 0 {
        people.push(inside);
    } else {
        skip("packing in a user namespace: it can not be made");
    }
    people
}

impl Person {
    fn command(&self, script: &str) -> Command {
        let words = [&self.before[..], &["bash", "-c", script]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_remove("SOURCE_DATE_EPOCH");
        command
    }

    #[track_caller]
    fn does(&self, script: &str) -> String {
        run(&mut self.command(script)).good(script)
    }

    /// Makes a folder this person's.
    fn gets(&self, folder: &Path) {
        if self.before.contains(&ACCOUNT) {
            shell(folder, &format!("chown -R {ACCOUNT}: ."));
        }
    }
}

/// Makes the tree at `tree`, with names in an order of its own for each
/// `number`.
fn make(tree: &Path, person: &Person, number: usize) {
    fs::create_dir(tree).expect("a folder can be made");
    let order = ["cat", "tac", "sort -R"][number % 3];
    shell(
        tree,
        &format!(
            "umask 022
             mkdir -p usr/bin etc tmp root
             seq 1 400 | {order} | while read -r n; do echo \"$n\" >etc/file-$n; done
             seq 1 700000 >usr/words
             yes 0123456789abcdef | head -c 18000000 >usr/much || true
             echo tool >usr/bin/tool
             ln -s usr/bin bin
             ln usr/bin/tool usr/bin/tool-2
             mkfifo tmp/pipe
             : >'etc/with a space'
             : >etc/\u{fc}ml\u{e4}ut"
        ),
    );
    person.gets(tree);
    // Changing the owner takes special bits away, so they come after it.
    shell(
        tree,
        "chmod 4755 usr/bin/tool; chmod 1777 tmp; chmod 700 root; chmod 600 etc/file-1
         find . -exec touch -h -d @1700000000.25 {} +",
    );
}

/// An ext4 file system of its own, in a file.
struct Ext4(PathBuf);

impl Ext4 {
    /// `None` has said `SKIP`.
    fn new(scratch: &Scratch) -> Option<Self> {
        if !plimsoll_interop::is_root("packing from an ext4 of its own") {
            return None;
        }
        let mkfs = peer("mkfs.ext4")?;
        let (image, place) = (scratch.join("ext4.img"), scratch.join("ext4"));
        fs::create_dir(&place).expect("a folder can be made");
        let made = run(Command::new("truncate").args(["-s", "256M"]).arg(&image)).code == 0
            && run(mkfs.command().args(["-q", "-I", "256"]).arg(&image)).code == 0
            && run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&place)).code == 0;
        if !made {
            skip("packing from an ext4 of its own: it can not be mounted");
            return None;
        }
        Some(Self(place))
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.0));
    }
}
