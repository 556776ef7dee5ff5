//! Killed at any moment, `copy` and `load` leave nothing half, and the next
//! one takes away what they have left (ST01, ST11).

use std::fs::File;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use crate::support::{Sandbox, names};

/// How often each is killed: enough to hit every phase of a run that takes
/// about as long as the longest delay.
const KILLS: u32 = 25;

#[test]
fn st11_killed_copies_leave_nothing_half() {
    let sandbox = Sandbox::new();
    sandbox.tree("tree");
    // Something that does not compress, so that there is time to be killed in.
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(4 << 20)
    .collect();
    sandbox.write("tree/noise", noise);
    sandbox.ok(&["pack", "tree", "oci:images:v1", "--compression", "none"]);
    sandbox.ok(&["copy", "oci:images:v1", "oci-archive:image.tar"]);
    let jobs: [&[&str]; 4] = [
        &["load", "-", "app:v1"],
        &["copy", "oci:images:v1", "oci-archive:new.tar"],
        &["copy", "oci:images:v1", "oci:new"],
        &["copy", "oci:images:v1", "dir:new"],
    ];
    for words in jobs {
        let start = |sandbox: &Sandbox| {
            let mut command = sandbox.command(words);
            command.stdin(File::open(sandbox.path("image.tar")).expect("there"));
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
        };
        let remove = || {
            let _ = std::fs::remove_file(sandbox.path("new.tar"));
            let _ = std::fs::remove_dir_all(sandbox.path("new"));
            sandbox.run(&["rm", "app:v1", "--gc"]);
        };
        // How long it takes here and now: the shortest of some runs, since a
        // busy machine makes some of them long.
        let took = || {
            remove();
            let began = Instant::now();
            assert!(start(&sandbox).wait().expect("ended").success(), "{words:?}");
            began.elapsed()
        };
        let long = took().min(took()).min(took());
        let mut killed = 0;
        for number in 0..KILLS {
            remove();
            let mut child = start(&sandbox);
            thread::sleep(long * number / KILLS);
            let _ = child.kill();
            let whole = child.wait().expect("ended").success();
            killed += u32::from(!whole);
            // What is visible is whole.
            for place in ["oci-archive:new.tar", "oci:new", "dir:new"] {
                let path = place.split_once(':').expect("a path").1;
                if sandbox.path(path).exists() && words[2] == place {
                    sandbox.ok(&["validate", place]);
                }
            }
            if sandbox.run(&["inspect", "app:v1"]).code == 0 {
                sandbox.ok(&["validate", "app:v1"]);
            }
        }
        assert!(killed > 2, "{words:?}: only {killed} were killed in time");
        // The same command does the work, and tidies up.
        remove();
        assert!(start(&sandbox).wait().expect("ended").success(), "{words:?}");
        let left: Vec<_> =
            sandbox.names().into_iter().filter(|name| name.starts_with('.')).collect();
        assert_eq!(left, [""; 0], "{words:?}");
        if words[0] == "load" {
            sandbox.ok(&["validate", "app:v1"]);
            assert_eq!(names(&sandbox.path("store/.plimsoll/staging")), [""; 0]);
        }
    }
}
