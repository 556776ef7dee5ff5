//! Image configs. Optional members may be `null` (CF3).

use plimsoll_content::Digest;
use plimsoll_content::json::Tree;

use super::annotations::child;
use super::judge::{Judge, is_object, shown, text_of, value};
use super::platform::{self, strings};
use super::report::Image;
use super::text::{self, Fit};
use super::{Level, annotations, descriptor, table};
use crate::config::{EXECUTION, MEMBERS};

/// Judges a config.
pub(super) fn judge(judge: &mut Judge, tree: &Tree) {
    if !is_object(tree) {
        return judge.find(&table::CF19, "", tree.kind());
    }
    judge.lookalikes(tree, "", MEMBERS);
    time(judge, tree.get("created"), "/created");
    text_or_null(judge, tree, "", "author");
    runs_on(judge, tree);
    match tree.get("config") {
        None | Some(Tree::Null) => {}
        Some(execution) => self::execution(judge, execution),
    }
    let diff_ids = rootfs(judge, tree.get("rootfs"));
    history(judge, tree.get("history"), diff_ids.as_ref().map(Vec::len));
    judge.image = Some(Image {
        platform: platform::read(tree).unwrap_or_default(),
        diff_ids: diff_ids.unwrap_or_default(),
        user: tree.get("config").and_then(|config| text_of(config, "User")).map(str::to_owned),
    });
}

fn runs_on(judge: &mut Judge, tree: &Tree) {
    let told = |name: &str| tree.get(name).map_or("none".to_owned(), value);
    // An empty one is there, and is none that Go knows.
    let architecture = tree.get("architecture").and_then(Tree::text);
    match architecture {
        None => judge.find(&table::CF5, "", told("architecture")),
        Some(name) if !platform::is_architecture(name) => judge.find_as(
            &table::CF5,
            platform::unknown(name),
            "/architecture",
            shown(name),
            "an architecture that Go knows (GOARCH)",
        ),
        Some(_) => {}
    }
    match tree.get("os").and_then(Tree::text) {
        None => judge.find(&table::CF6, "", told("os")),
        Some(name) if !platform::is_os(name) => judge.find_as(
            &table::CF6,
            platform::unknown(name),
            "/os",
            shown(name),
            "an operating system that Go knows (GOOS)",
        ),
        Some(_) => {}
    }
    match tree.get("variant") {
        None | Some(Tree::Null) => {}
        Some(Tree::Text(variant)) => {
            if let Some(architecture) = architecture
                && !variant.is_empty()
                && !platform::is_variant(architecture, variant)
            {
                judge.find(&table::CF9, "/variant", shown(variant));
            }
        }
        Some(other) => judge.wrong("/variant", other.kind(), "a string"),
    }
    platform::refinements(judge, tree, "", true);
}

fn execution(judge: &mut Judge, tree: &Tree) {
    let at = "/config";
    if !is_object(tree) {
        return judge.wrong(at, tree.kind(), "an object");
    }
    judge.lookalikes(tree, at, EXECUTION);
    for name in ["User", "WorkingDir"] {
        text_or_null(judge, tree, at, name);
    }
    for name in ["Entrypoint", "Cmd"] {
        match tree.get(name) {
            None | Some(Tree::Null) => {}
            Some(words) => strings(judge, words, &format!("{at}/{name}")),
        }
    }
    match tree.get("Env") {
        None | Some(Tree::Null) => {}
        Some(Tree::Array(entries)) => {
            for (position, entry) in entries.iter().enumerate() {
                let named =
                    entry.text().is_some_and(|text| text.find('=').is_some_and(|at| at > 0));
                if !named {
                    judge.find(&table::CF13, &format!("{at}/Env/{position}"), value(entry));
                }
            }
        }
        Some(other) => judge.find(&table::CF13, "/config/Env", other.kind()),
    }
    ports(judge, tree.get("ExposedPorts"));
    match tree.get("Volumes") {
        None | Some(Tree::Null | Tree::Object(_)) => {}
        Some(other) => judge.wrong("/config/Volumes", other.kind(), "an object"),
    }
    if let Some(labels) = tree.get("Labels") {
        annotations::labels(judge, labels, "/config/Labels");
    }
    match tree.get("StopSignal") {
        None | Some(Tree::Null) => {}
        // Tools write it for none.
        Some(Tree::Text(name)) if name.is_empty() => {}
        Some(Tree::Text(name)) => match text::signal(name) {
            Fit::Good => {}
            Fit::Odd => judge.find_as(
                &table::CF16,
                Level::Warning,
                "/config/StopSignal",
                shown(name),
                "a name such as SIGTERM",
            ),
            Fit::Bad => judge.find(&table::CF16, "/config/StopSignal", shown(name)),
        },
        Some(other) => judge.find(&table::CF16, "/config/StopSignal", other.kind()),
    }
    match tree.get("ArgsEscaped") {
        None | Some(Tree::Null) => {}
        Some(Tree::Bool(_)) => judge.find(&table::CF17, "/config/ArgsEscaped", "the member"),
        Some(other) => judge.wrong("/config/ArgsEscaped", other.kind(), "true or false"),
    }
}

fn ports(judge: &mut Judge, tree: Option<&Tree>) {
    let at = "/config/ExposedPorts";
    match tree {
        None | Some(Tree::Null) => {}
        Some(Tree::Object(members)) => {
            for (key, _) in members {
                let here = child(at, key);
                match text::port(key) {
                    Fit::Good => {}
                    // Docker knows one more protocol.
                    Fit::Odd => judge.find_as(
                        &table::CF12,
                        Level::Warning,
                        &here,
                        shown(key),
                        "port/tcp, port/udp or a port",
                    ),
                    Fit::Bad => judge.find(&table::CF12, &here, shown(key)),
                }
            }
        }
        Some(other) => judge.find(&table::CF12, at, other.kind()),
    }
}

/// The diff_ids, as far as they can be read.
fn rootfs(judge: &mut Judge, tree: Option<&Tree>) -> Option<Vec<Option<Digest>>> {
    let Some(tree) = tree.filter(|tree| is_object(tree)) else {
        judge.find(&table::CF19, "", tree.map_or("none".to_owned(), value));
        return None;
    };
    judge.lookalikes(tree, "/rootfs", &["type", "diff_ids"]);
    match tree.get("type") {
        Some(Tree::Text(kind)) if kind == "layers" => {}
        other => {
            judge.find(&table::CF20, "/rootfs/type", other.map_or("none".to_owned(), value));
        }
    }
    let Some(Tree::Array(diff_ids)) = tree.get("diff_ids") else {
        let found = tree.get("diff_ids").map_or("none".to_owned(), value);
        judge.find(&table::CF22, "/rootfs/diff_ids", found);
        return None;
    };
    let read = diff_ids.iter().enumerate().map(|(position, diff_id)| {
        let here = format!("/rootfs/diff_ids/{position}");
        match diff_id {
            Tree::Text(text) => descriptor::digest(judge, text, &here),
            other => {
                judge.find(&table::CF22, &here, other.kind());
                None
            }
        }
    });
    Some(read.collect())
}

fn history(judge: &mut Judge, tree: Option<&Tree>, layers: Option<usize>) {
    let steps = match tree {
        None | Some(Tree::Null) => return,
        Some(Tree::Array(steps)) => steps,
        Some(other) => return judge.wrong("/history", other.kind(), "an array"),
    };
    let mut filled = 0;
    for (position, step) in steps.iter().enumerate() {
        let at = format!("/history/{position}");
        if !is_object(step) {
            // Such histories exist, and readers went down over them.
            judge.wrong(&at, step.kind(), "an object");
            continue;
        }
        let known = &["created", "created_by", "author", "comment", "empty_layer"];
        judge.lookalikes(step, &at, known);
        time(judge, step.get("created"), &format!("{at}/created"));
        for name in ["created_by", "author", "comment"] {
            text_or_null(judge, step, &at, name);
        }
        match step.get("empty_layer") {
            Some(Tree::Bool(true)) => {}
            None | Some(Tree::Null | Tree::Bool(false)) => filled += 1,
            Some(other) => {
                judge.wrong(&format!("{at}/empty_layer"), other.kind(), "true or false");
            }
        }
    }
    if let Some(layers) = layers
        && !steps.is_empty()
        && filled != layers
    {
        let found = format!("{filled} entries with a layer, beside {layers} diff_ids");
        judge.find(&table::CF23, "/history", found);
    }
}

fn time(judge: &mut Judge, tree: Option<&Tree>, at: &str) {
    match tree {
        None | Some(Tree::Null) => {}
        Some(Tree::Text(text)) if text::is_time(text) => {}
        Some(other) => judge.find(&table::CF4, at, value(other)),
    }
}

fn text_or_null(judge: &mut Judge, tree: &Tree, at: &str, name: &str) {
    match tree.get(name) {
        None | Some(Tree::Null | Tree::Text(_)) => {}
        Some(other) => judge.wrong(&format!("{at}/{name}"), other.kind(), "a string"),
    }
}
