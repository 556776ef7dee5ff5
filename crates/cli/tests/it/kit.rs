//! `kit`: conformance cases from the command line.

use serde_json::Value;

use crate::schemas::check;
use crate::support::Sandbox;

#[test]
fn lists_cases_by_role_rule_and_id() {
    let sandbox = Sandbox::new();
    let list = sandbox.json(&["kit", "ls", "--rule", "DE31"]);
    check(&list);
    let cases = list["cases"].as_array().expect("a list");
    let verdicts: Vec<_> = cases.iter().filter_map(|case| case["verdict"].as_str()).collect();
    assert!(verdicts.contains(&"holds") && verdicts.contains(&"breaks"), "{list}");
    let ids = sandbox.ok(&["kit", "ls", "-q", "--case", "layouts/"]);
    assert!(ids.lines().all(|id| id.starts_with("layouts/")) && ids.lines().count() > 10);
    sandbox.fails(3, &["kit", "ls", "--rule", "XX1"]);
    sandbox.fails(2, &["kit", "ls", "--role", "cook"]);
}

#[test]
fn verdicts_are_about_what_a_command_does() {
    let sandbox = Sandbox::new();
    let run = |command: &str, id: &str| {
        let words =
            ["kit", "run", "--json", "--role", "validator", "--case", id, "--against", command];
        let done = sandbox.run(&words);
        let report: Value = serde_json::from_str(&done.stdout).expect("a report");
        check(&report);
        let verdict = report["outcomes"][0]["verdict"].as_str().expect("text").to_owned();
        assert_eq!(done.code == 0, matches!(&verdict[..], "pass" | "not-applicable"));
        verdict
    };
    let breaks = "documents/digest-sha256-short";
    let lint = "documents/descriptor-without-platform";
    let holds = "documents/descriptor-plain";
    assert_eq!(run("true", holds), "pass");
    assert_eq!(run("false", holds), "refused");
    assert_eq!(run("false", breaks), "pass");
    assert_eq!(run("true", breaks), "fail");
    assert_eq!(run("true", lint), "not-applicable");
    assert_eq!(run("false", lint), "refused");
    assert_eq!(run("grep -q '\"v1\"' {layout}/index.json", holds), "pass");
    assert_eq!(run("test {tag} = v1 && test -d {layout}/blobs/sha256", holds), "pass");
    assert_eq!(run("tar -xf {archive} oci-layout", holds), "pass");
    let named = |said: &str, id: &str| {
        let command = format!("echo '{{\"findings\": [{said}]}}'; exit 6");
        let words = ["kit", "run", "--json", "--role", "validator", "--names-rules"];
        let done = sandbox.run(&[&words[..], &["--case", id, "--against", &command]].concat());
        let report: Value = serde_json::from_str(&done.stdout).expect("a report");
        report["outcomes"][0]["verdict"].as_str().expect("text").to_owned()
    };
    assert_eq!(named(r#"{"rule": "DE30"}"#, breaks), "pass");
    assert_eq!(named(r#"{"rule": "DE5"}, {"rule": "DE30"}"#, breaks), "pass");
    assert_eq!(named(r#"{"rule": "LY2"}"#, breaks), "fail");
    assert_eq!(named(r#"{"rule": "DE30"}, {"rule": "LY2"}"#, breaks), "fail");
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let sandbox = Sandbox::new();
    let words = ["kit", "run", "--json", "--role", "validator", "--timeout", "1"];
    let case = ["--case", "documents/descriptor-plain"];
    let pid = sandbox.path("pid");
    let command = format!("sleep 77 & echo $! > '{}'; wait", pid.display());
    let command = ["--against", &command];
    let done = sandbox.run(&[&words[..], &case, &command].concat());
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    assert_eq!(report["outcomes"][0]["verdict"], "timeout");
    assert_eq!(done.code, 1);
    let pid = std::fs::read_to_string(pid).expect("written");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(!state.is_ok_and(|state| !state.contains(") Z ")), "it still runs");
}

#[test]
fn a_command_that_is_not_there_is_an_error() {
    let sandbox = Sandbox::new();
    let words = ["kit", "run", "--role", "validator", "--against", "no-such-program {layout}"];
    let said = sandbox.fails(3, &words);
    assert!(said.contains("no-such-program"), "{said}");
    sandbox.fails(2, &["kit", "run", "--against", "true"]);
    sandbox.fails(2, &["kit", "run"]);
    sandbox.fails(3, &["kit", "run", "--adapter", "nobody"]);
    let registry = ["kit", "run", "--role", "validator", "--against", "x {registry}"];
    assert!(sandbox.fails(2, &registry).contains("--registry"));
}

#[test]
fn outcomes_are_saved() {
    let sandbox = Sandbox::new();
    let words = ["kit", "run", "--role", "validator", "--against", "true", "--save", "saved.json"];
    sandbox.run(&[&words[..], &["--case", "layers/zstd"]].concat());
    let saved = std::fs::read(sandbox.path("saved.json")).expect("there");
    let saved: Value = serde_json::from_slice(&saved).expect("JSON");
    assert_eq!(saved[0]["case"], "layers/zstd");
}

#[test]
fn exports_what_other_tools_can_use() {
    let sandbox = Sandbox::new();
    check(&sandbox.json(&["kit", "export", "cases", "--case", "layers/"]));
    sandbox.ok(&["inspect", "oci:cases/layers/zstd/layout:v1"]);
    sandbox.ok(&["inspect", "oci-archive:cases/layers/zstd/image.tar:v1"]);
    assert!(sandbox.fails(1, &["kit", "export", "cases"]).contains("E_EXISTS"));
}

/// Runs one case against a command, and gives the verdict and why.
fn verdict(sandbox: &Sandbox, role: &str, case: &str, command: &str) -> (String, String) {
    let command = command.replace("{self}", env!("CARGO_BIN_EXE_plimsoll"));
    let words = ["kit", "run", "--json", "--role", role, "--case", case, "--against", &command];
    let done = sandbox.run(&words);
    let report: Value = serde_json::from_str(&done.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", done.stdout, done.stderr));
    check(&report);
    let text = |name: &str| report["outcomes"][0][name].as_str().expect("text").to_owned();
    (text("verdict"), text("why"))
}

#[test]
fn whatever_an_engine_does_to_a_tree_is_seen() {
    let sandbox = Sandbox::new();
    let unpack = "{self} unpack -q oci:{layout}:{tag} {rootfs}; cd {rootfs}";
    let asked =
        |case: &str, then: &str| verdict(&sandbox, "engine", case, &format!("{unpack}; {then}"));
    let plain = "engines/apply/plain";
    assert_eq!(asked(plain, "true"), ("pass".to_owned(), String::new()));
    for (then, why) in [
        ("chmod 600 a/f", "a/f: mode"),
        ("touch -d @5 a/f", "a/f: mtime"),
        ("touch -h -d @5 a/l", "a/l: mtime"),
        ("printf y > a/f; touch -d @1500000000 a/f", "a/f: sha256"),
        ("rm a/f", "a/f is missing"),
        ("echo > a/g", "a/g is there and should not be"),
        ("ln -sfn g a/l; touch -h -d @1500000000 a a/l", "a/l: target"),
        ("rm a/l; mkdir a/l; touch -d @1500000000 a", "a/l: type"),
        ("echo > ../../outside/new", "outside"),
        ("echo > ../../outside/victim", "outside"),
        ("rm -r ../rootfs", "leaves no root"),
    ] {
        let (verdict, found) = asked(plain, then);
        assert_eq!(verdict, "fail", "{then}");
        assert!(found.contains(why), "{then}: {found}");
    }
    let (verdict, why) = asked("engines/apply/hard-link", "cp -p a x; rm a; mv x a");
    assert!(verdict == "fail" && why.contains("names"), "{why}");
    let (verdict, why) = asked("engines/refuse/bare-whiteout", "true");
    assert_eq!(verdict, "pass", "{why}");
    let taken = "mkdir -p {rootfs}";
    assert_eq!(self::verdict(&sandbox, "engine", "engines/refuse/bare-whiteout", taken).0, "fail");
}

#[test]
fn whatever_an_engine_does_to_a_config_is_seen() {
    let sandbox = Sandbox::new();
    let bundle = "{self} bundle -q oci:{layout}:{tag} {bundle}";
    let asked = |case: &str, edit: &str| {
        let command = format!("{bundle}; sed -i '{edit}' {{bundle}}/config.json");
        verdict(&sandbox, "engine", case, &command)
    };
    assert_eq!(asked("engines/config/args-both", "").0, "pass");
    let (verdict, why) = asked("engines/config/args-both", "s,\"/e\",\"/f\",");
    assert!(verdict == "fail" && why.contains("/process/args"), "{why}");
    let (verdict, why) = asked("engines/config/env", "s,A=b,A=c,");
    assert!(verdict == "fail" && why.contains("/process/env lacks"), "{why}");
    let (verdict, why) = asked("engines/config/env", "s,^,x,");
    assert!(verdict == "fail" && why.contains("no JSON"), "{why}");
}

#[test]
fn whatever_a_copy_loses_is_seen() {
    let sandbox = Sandbox::new();
    let copy = "{self} copy -q oci:{layout}:{tag} oci:{out}:{tag}; cd {out}/blobs/sha256";
    let asked = |then: &str| {
        verdict(&sandbox, "registry", "registries/same/image", &format!("{copy}; {then}"))
    };
    assert_eq!(asked("true").0, "pass");
    let (verdict, why) = asked("rm $(grep -L . *) || rm $(ls | head -n 1)");
    assert!(verdict == "fail" && why.contains("is lost"), "{why}");
    let (verdict, why) = asked("for file in *; do echo >> $file; done");
    assert!(verdict == "fail", "{why}");
    let (verdict, why) = asked("sed -i s/sha256:./sha256:0/ ../../index.json");
    assert!(verdict == "fail" && why.contains("became"), "{why}");
}

#[test]
fn whatever_a_builder_makes_is_looked_at() {
    let sandbox = Sandbox::new();
    let pack = "{self} pack -q {folder} oci:{out}:{tag}";
    let plain = "builders/files/plain";
    assert_eq!(verdict(&sandbox, "builder", plain, pack).0, "pass");
    for (before, why) in [
        ("chmod 600 {folder}/etc/motd", "etc/motd: mode"),
        ("rm {folder}/etc/motd", "etc/motd is missing"),
        ("echo > {folder}/more", "more is there"),
    ] {
        let (verdict, found) = verdict(&sandbox, "builder", plain, &format!("{before}; {pack}"));
        assert!(verdict == "fail" && found.contains(why), "{before}: {found}");
    }
    let (verdict, why) =
        verdict(&sandbox, "builder", plain, &format!("{pack}; rm -r {{out}}/blobs"));
    assert!(verdict == "fail", "{why}");
    let changing = format!("date +%N > {{folder}}/now; {pack}");
    let (verdict, why) = self::verdict(&sandbox, "builder", "builders/reproducible", &changing);
    assert!(verdict == "fail" && why.contains("another image"), "{why}");
}

#[test]
fn the_table_tells_of_the_tools_that_are_here() {
    let sandbox = Sandbox::new();
    let words = ["kit", "table", "--adapter", "plimsoll", "--case", "layers/zstd"];
    let tables = sandbox.json(&words);
    check(&tables);
    assert_eq!(tables["tools"][0]["name"], "plimsoll");
    assert_eq!(tables["tools"][0]["outcomes"][0]["verdict"], "pass");
    let text = sandbox.ok(&words);
    assert!(text.contains("| plimsoll 0."), "{text}");
    assert!(text.contains("No tool here fails the rest, 1 of 1 cases."), "{text}");
}

#[test]
fn a_signal_ends_the_command_of_a_case_too() {
    let sandbox = Sandbox::new();
    let pid = sandbox.path("pid");
    let command = format!("echo $$ > '{}'; sleep 77", pid.display());
    let words = ["kit", "run", "--role", "validator", "--case", "layers/zstd", "--against"];
    let mut child =
        sandbox.command(&[&words[..], &[&command]].concat()).spawn().expect("it starts");
    let begun = std::time::Instant::now();
    let script = loop {
        let text = std::fs::read_to_string(&pid).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        assert!(begun.elapsed().as_secs() < 60, "the command does not start");
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let id = rustix::process::Pid::from_raw(child.id() as i32).expect("an id");
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("ours");
    let status = child.wait().expect("ours");
    assert_eq!(status.code(), Some(1), "interrupted");
    assert!(begun.elapsed().as_secs() < 30);
    let state = std::fs::read_to_string(format!("/proc/{script}/stat"));
    assert!(!state.is_ok_and(|state| !state.contains(") Z ")), "it still runs");
}
