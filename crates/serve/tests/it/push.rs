//! Pushing blobs: in one request, in two, in chunks, by mounting; and what is
//! refused.

use std::io::Write;
use std::time::Duration;

use plimsoll_content::{Algorithm, Digest};
use plimsoll_serve::{Budget, Options};

use crate::client::Answer;
use crate::{Registry, bytes, sha256};

impl Registry {
    fn begin(&self, name: &str, query: &str) -> Answer {
        self.send("POST", &format!("/v2/{name}/blobs/uploads/{query}"), b"")
    }

    fn chunk(&self, method: &str, place: &str, range: &str, body: &[u8]) -> Answer {
        self.request(method, place, &[("Content-Range", range)], body)
    }

    #[track_caller]
    fn holds(&self, name: &str, digest: &Digest, content: &[u8]) {
        assert_eq!(self.get(&format!("/v2/{name}/blobs/{digest}")).is(200).body, content);
    }
}

#[test]
pub(crate) fn a_blob_comes_in_one_request_or_in_two() {
    let registry = Registry::new();
    for (algorithm, content) in [
        (Algorithm::Sha256, &b""[..]),
        (Algorithm::Sha512, b"hello"),
        (Algorithm::Blake3, b"hello"),
    ] {
        let digest = Digest::of(algorithm, content);
        let one =
            registry.send("POST", &format!("/v2/one/blobs/uploads/?digest={digest}"), content);
        assert_eq!(one.is(201).header("location"), format!("/v2/one/blobs/{digest}"));
        assert_eq!(one.header("docker-content-digest"), digest.to_string());
        registry.holds("one", &digest, content);
        for query in ["", &format!("?digest-algorithm={algorithm}")] {
            let begun = registry.begin("two", query);
            assert_eq!(begun.is(202).header("range"), "0-0");
            let place = format!("{}?digest={digest}", begun.header("location"));
            let ended = registry.send("PUT", &place, content);
            assert_eq!(ended.is(201).header("location"), format!("/v2/two/blobs/{digest}"));
            registry.holds("two", &digest, content);
            registry.get(begun.header("location")).refused(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    registry.begin("two", "?digest-algorithm=md5").refused(400, "DIGEST_INVALID");
}

#[test]
pub(crate) fn chunks_go_behind_each_other_and_gaps_are_refused() {
    let registry = Registry::new();
    let content = bytes(3000);
    let digest = sha256(&content);
    let begun = registry.begin("a", "");
    let place = begun.is(202).header("location").to_owned();
    registry
        .chunk("PATCH", &place, "1000-1999", &content[1000..2000])
        .refused(416, "BLOB_UPLOAD_INVALID");
    let answer = registry.chunk("PATCH", &place, "0-999", &content[..1000]);
    assert_eq!(answer.is(202).header("range"), "0-999");
    for gap in ["2000-2999", "0-999", "500-1499"] {
        let answer = registry.chunk("PATCH", &place, gap, &content[..1000]);
        assert_eq!(answer.is(416).header("range"), "0-999", "{gap}");
        assert_eq!(answer.header("location"), place);
    }
    registry.chunk("PATCH", &place, "1000-1998", &content[1000..2000]).refused(400, "SIZE_INVALID");
    registry.chunk("PATCH", &place, "x", &content[1000..2000]).refused(400, "BLOB_UPLOAD_INVALID");
    let status = registry.get(&place);
    assert_eq!(status.is(204).header("range"), "0-999");
    // Without a range, what comes goes behind what is there.
    assert_eq!(
        registry.send("PATCH", &place, &content[1000..2000]).is(202).header("range"),
        "0-1999"
    );
    let end = format!("{place}?digest={digest}");
    registry.chunk("PUT", &end, "2000-2999", &content[2000..]).is(201);
    registry.holds("a", &digest, &content);
}

#[test]
pub(crate) fn a_chunk_of_the_wrong_length_leaves_the_upload_as_it_was() {
    let registry = Registry::new();
    let begun = registry.begin("a", "");
    let place = begun.is(202).header("location");
    registry.chunk("PATCH", place, "0-4", b"hello").is(202);
    // No length is said, so only the end shows that it is wrong.
    for body in ["3\r\n, w\r\n0\r\n\r\n", "9\r\n, world!!\r\n0\r\n\r\n"] {
        let headers = [("Content-Range", "5-11"), ("Transfer-Encoding", "chunked")];
        let head = registry.begun("PATCH", place, &headers);
        let mut stream = registry.connect();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("sent");
        Answer::read(&mut stream, "PATCH").refused(400, "SIZE_INVALID");
        assert_eq!(registry.get(place).is(204).header("range"), "0-4");
    }
    let digest = sha256(b"hello, world");
    registry.chunk("PUT", &format!("{place}?digest={digest}"), "5-11", b", world").is(201);
    registry.holds("a", &digest, b"hello, world");
}

#[test]
pub(crate) fn what_is_not_its_digest_is_never_seen() {
    let registry = Registry::new();
    let (good, bad) = (sha256(b"hello"), b"jello");
    let path = format!("/v2/a/blobs/uploads/?digest={good}");
    registry.send("POST", &path, bad).refused(400, "DIGEST_INVALID");
    let begun = registry.begin("a", "");
    let place = begun.is(202).header("location");
    registry.send("PATCH", place, bad).is(202);
    registry.send("PUT", &format!("{place}?digest={good}"), b"").refused(400, "DIGEST_INVALID");
    registry.get(place).refused(404, "BLOB_UPLOAD_UNKNOWN");
    let other = Digest::of(Algorithm::Sha512, b"hello");
    let begun = registry.begin("a", "");
    let place = begun.header("location");
    registry.send("PUT", &format!("{place}?digest={other}"), bad).refused(400, "DIGEST_INVALID");
    let begun = registry.begin("a", "");
    let place = begun.header("location");
    registry.send("PUT", place, b"hello").refused(400, "DIGEST_INVALID");
    registry
        .send("PUT", &format!("{place}?digest=md5:abc"), b"hello")
        .refused(400, "DIGEST_INVALID");
    for digest in [good, other] {
        registry.get(&format!("/v2/a/blobs/{digest}")).is(404);
    }
    if registry.in_folder() {
        let uploads = registry.root().join("a/.plimsoll/uploads");
        assert_eq!(std::fs::read_dir(uploads).expect("folder").count(), 1, "the last can go on");
    }
}

#[test]
pub(crate) fn uploads_are_cancelled_and_belong_to_their_repository() {
    let registry = Registry::new();
    let begun = registry.begin("a", "");
    let place = begun.is(202).header("location");
    let other = place.replacen("/v2/a/", "/v2/b/", 1);
    for method in ["GET", "PATCH", "DELETE"] {
        registry.send(method, &other, b"").refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    registry.delete(place).is(204);
    registry.delete(place).refused(404, "BLOB_UPLOAD_UNKNOWN");
    registry.send("PATCH", place, b"x").refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
pub(crate) fn blobs_are_mounted_from_where_they_are() {
    let registry = Registry::new();
    let digest = registry.blob("base", b"hello");
    let mounted = registry.begin("app", &format!("?mount={digest}&from=base"));
    assert_eq!(mounted.is(201).header("location"), format!("/v2/app/blobs/{digest}"));
    registry.holds("app", &digest, b"hello");
    registry.begin("other/app", &format!("?mount={digest}")).is(201);
    registry.holds("other/app", &digest, b"hello");
    // It may be there already, and in the very same repository.
    registry.begin("app", &format!("?mount={digest}&from=app")).is(201);
    let none = sha256(b"none");
    let begun = registry.begin("app", &format!("?mount={none}&from=base"));
    let place = format!("{}?digest={none}", begun.is(202).header("location"));
    registry.send("PUT", &place, b"none").is(201);
    registry.begin("app", &format!("?mount={none}&from=nowhere")).is(202);
    // What has gone bad is not handed on: it has to come anew.
    if registry.in_folder() {
        let bad = registry.blob("base", b"soon bad");
        let place = registry.root().join("base/blobs/sha256").join(bad.encoded());
        std::fs::write(place, b"very bad").expect("spoilt");
        registry.begin("app", &format!("?mount={bad}&from=base")).is(202);
    }
    // Removed in one, it stays in the other.
    registry.delete(&format!("/v2/base/blobs/{digest}")).is(202);
    registry.holds("app", &digest, b"hello");
}

#[test]
pub(crate) fn what_is_too_much_is_refused_before_it_is_kept() {
    let budget = Budget { blob: 1000, ..Budget::default() };
    let registry = Registry::with(Options { budget, ..Options::default() });
    let content = bytes(1001);
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(&content));
    registry.send("POST", &path, &content).refused(413, "SIZE_INVALID");
    let begun = registry.begin("a", "");
    let place = begun.is(202).header("location");
    registry.send("PATCH", place, &content[..600]).is(202);
    registry.send("PATCH", place, &content[..600]).refused(413, "SIZE_INVALID");
    let head = registry.begun("PATCH", place, &[("Transfer-Encoding", "chunked")]);
    let mut stream = registry.connect();
    let chunk = "x".repeat(600);
    stream.write_all(format!("{head}\r\n258\r\n{chunk}\r\n0\r\n\r\n").as_bytes()).expect("sent");
    Answer::read(&mut stream, "PATCH").refused(413, "SIZE_INVALID");
    assert_eq!(registry.get(place).is(204).header("range"), "0-599");
    registry.blob("a", &content[..1000]);
}

#[test]
pub(crate) fn an_upload_that_breaks_off_goes_on_behind_what_came() {
    let registry = Registry::new();
    let content = bytes(900_000);
    let begun = registry.begin("a", "");
    let place = begun.is(202).header("location");
    let head = registry.begun("PATCH", place, &[("Content-Length", "900000")]);
    let mut stream = registry.connect();
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
    stream.write_all(&content[..400_000]).expect("sent");
    drop(stream);
    let mut length = 0;
    for _ in 0..200 {
        let answer = registry.get(place);
        if answer.status == 204 {
            let last: usize = answer.header("range")[2..].parse().expect("a number");
            length = if last == 0 { 0 } else { last + 1 };
            if length == 400_000 {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(length, 400_000);
    let range = format!("{length}-899999");
    let digest = sha256(&content);
    let end = format!("{place}?digest={digest}");
    registry.chunk("PUT", &end, &range, &content[length..]).is(201);
    registry.holds("a", &digest, &content);
}

#[test]
fn who_sends_nothing_is_given_up() {
    let budget = Budget {
        idle: Duration::from_millis(300),
        head: Duration::from_millis(600),
        ..Budget::default()
    };
    let registry = Registry::with(Options { budget, ..Options::default() });
    let begun = registry.begin("a", "");
    let place = begun.is(202).header("location");
    let head = registry.begun("PATCH", place, &[("Content-Length", "10")]);
    let mut stream = registry.connect();
    stream.write_all(format!("{head}\r\nhello").as_bytes()).expect("sent");
    Answer::read(&mut stream, "PATCH").refused(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(registry.get(place).is(204).header("range"), "0-4");
    // A head that never ends.
    let mut stream = registry.connect();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost:").expect("sent");
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("200"), "{rest:?}");
}

#[test]
pub(crate) fn too_many_at_once_wait_for_their_turn() {
    let budget = Budget { uploads: 1, connections: 3, ..Budget::default() };
    let registry = Registry::with(Options { budget, ..Options::default() });
    let client = &registry.client;
    std::thread::scope(|scope| {
        for number in 0..12 {
            scope.spawn(move || client.blob("a", format!("blob {number}").as_bytes()));
        }
    });
    for number in 0..12 {
        let content = format!("blob {number}");
        registry.holds("a", &sha256(content.as_bytes()), content.as_bytes());
    }
}
