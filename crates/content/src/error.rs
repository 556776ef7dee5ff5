//! The one error type of all crates: what was being done, to what, what was
//! found, what was expected, what to do next.
//!
//! An error is a value with named parts rather than an enum of call sites:
//! callers decide by [`Kind`] (what they can do about it) or by [`Code`] (a
//! stable name, documented in `docs/reference/errors.md`); people read the
//! parts. How the parts are shown is the program's matter.

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// What a caller can do about an error. Each kind is one exit code of the
/// program. The list is complete on purpose.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// None of the others: it did not work.
    Failed,
    /// The request makes no sense as it was written.
    Usage,
    /// What was asked for is not there.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// Something is missing that may be there later: space, a peer, a lock.
    Unavailable,
    /// Bytes are not what they were announced to be, or are unsafe to use.
    Integrity,
    /// Nobody trusted vouches for the content.
    Trust,
    /// A name could not be resolved to content.
    Naming,
    /// A promise of this software was broken.
    Bug,
}

impl Kind {
    /// The exit code of the program for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Unavailable => 5,
            Self::Integrity => 6,
            Self::Trust => 7,
            Self::Naming => 8,
            Self::Bug => 70,
        }
    }
}

macro_rules! codes {
    ($( $(#[doc = $doc:literal])+ $variant:ident $text:literal $kind:ident, )+) => {
        /// The stable name of what went wrong, such as `E_DIGEST`.
        ///
        /// Codes are only ever added.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Code { $( $(#[doc = $doc])+ $variant, )+ }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The name as it is printed.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What a caller can do about it.
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }

            /// What the code means, in a sentence or two.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// It did not work, for none of the reasons below.
    Failed "E_FAILED" Failed,
    /// The command line, or an argument of a function, makes no sense.
    Usage "E_USAGE" Usage,
    /// A reference does not follow the grammar, or could mean several things.
    Reference "E_REFERENCE" Usage,
    /// There is no such image, tag, blob or file.
    NotFound "E_NOT_FOUND" NotFound,
    /// The folder is not an OCI image layout: `oci-layout` or `index.json` is missing or is of an unknown version.
    NotALayout "E_NOT_A_LAYOUT" NotFound,
    /// The image has nothing for the platform that was asked for.
    Platform "E_PLATFORM" NotFound,
    /// The destination exists already, and nothing is overwritten unasked.
    Exists "E_EXISTS" Failed,
    /// The operating system refused: owner or mode of a file, or a missing privilege.
    Permission "E_PERMISSION" Denied,
    /// This kernel or its settings do not let an ordinary user create the namespaces that are needed.
    UserNamespace "E_USERNS" Denied,
    /// The file system is full, or a quota is used up. Nothing half-written is left.
    Space "E_SPACE" Unavailable,
    /// Another process holds the lock for longer than is sensible.
    Locked "E_LOCKED" Unavailable,
    /// The device under the file system could not read or write. Nothing half-written is left.
    Device "E_DEVICE" Unavailable,
    /// The registry wants a login, or does not let this one do what was asked.
    Auth "E_AUTH" Denied,
    /// The connection would not be encrypted, and secrets or content could be read and changed on the way.
    PlainHttp "E_PLAIN_HTTP" Denied,
    /// The settings of this machine forbid to speak to that registry or repository.
    Blocked "E_BLOCKED" Denied,
    /// The other end can not be reached, broke off, stalled, or asks to come back later.
    Network "E_NETWORK" Unavailable,
    /// The network would be needed, and `--offline` forbids it.
    Offline "E_OFFLINE" Unavailable,
    /// What answered is no registry: a web page, as a rule of a proxy or a captive portal.
    NotARegistry "E_NOT_A_REGISTRY" Unavailable,
    /// The registry refused, or did not keep to the protocol.
    Registry "E_REGISTRY" Failed,
    /// Reading or writing failed.
    Io "E_IO" Failed,
    /// The operation was interrupted from outside. Nothing half-written is visible; a part of a large blob is kept for the next time.
    Interrupted "E_INTERRUPTED" Failed,
    /// The bytes do not have the digest that was announced.
    Digest "E_DIGEST" Integrity,
    /// The bytes are fewer or more than was announced.
    Size "E_SIZE" Integrity,
    /// The uncompressed layer does not have the digest that the image config announces at its position.
    DiffId "E_DIFF_ID" Integrity,
    /// A document is not what its media type says: not I-JSON, a member is missing, or of the wrong type.
    Malformed "E_MALFORMED" Integrity,
    /// A layer is no readable tar stream, or its compression is broken or is not the announced one.
    Layer "E_LAYER" Integrity,
    /// A layer entry would reach outside the root, or two common readers would read it differently.
    UnsafeEntry "E_UNSAFE_ENTRY" Integrity,
    /// A budget is exceeded: the input is larger, deeper or more numerous than is ever sensible.
    Limit "E_LIMIT" Integrity,
    /// The digest algorithm is well-formed but unknown here, so the content can not be proved.
    Unverifiable "E_UNVERIFIABLE" Integrity,
    /// The media type is unknown, and its meaning is needed for this operation.
    MediaType "E_MEDIA_TYPE" Failed,
    /// The image config can not be turned into a process: no command, an unknown user, a bad entry.
    Config "E_CONFIG" Failed,
    /// The runtime could not start the process, or was asked for something it does not enforce.
    Runtime "E_RUNTIME" Failed,
    /// The file tree holds something that no layer can express, such as a name that starts with `.wh.`.
    Unrepresentable "E_UNREPRESENTABLE" Failed,
    /// Nobody whom the policy names vouches for the content: there is no signature, or only such that say something else.
    Unsigned "E_UNSIGNED" Trust,
    /// There are signatures, and none, or not enough of them, are by a key or a person that is trusted.
    Untrusted "E_UNTRUSTED" Trust,
    /// There are signatures, and they are not what their form demands, of a form that the policy does not allow, or without the log or the time that they need.
    Signature "E_SIGNATURE" Trust,
    /// A trusted signature is about another name than the one that was asked for.
    SignedName "E_SIGNED_NAME" Trust,
    /// A trusted signature does not hold any more, or not yet.
    Expired "E_EXPIRED" Trust,
    /// The signature is trusted, and older than one that was seen under the same name.
    RolledBack "E_ROLLBACK" Trust,
    /// There are more signatures, or larger ones, than are looked at, and none of those that were is enough.
    SignatureLimit "E_SIGNATURE_LIMIT" Trust,
    /// A rule of the policy refuses the image, or none is for it.
    Rejected "E_REJECTED" Trust,
    /// A policy says something that is not understood, and could be a condition.
    Policy "E_POLICY" Usage,
    /// The passphrase does not open the key, or nobody was there to be asked for it.
    Passphrase "E_PASSPHRASE" Denied,
    /// Checks found violations. The report lists them.
    Invalid "E_INVALID" Integrity,
    /// A document or record by which the owner of a domain says where names lead is wrong, or was there before and is gone.
    Discovery "E_DISCOVERY" Naming,
    /// A signed zone of names is refused: a signature, version, expiry or prefix is not what it must be.
    Zone "E_ZONE" Naming,
    /// A name resolves, and nobody vouches for it as strongly as the rules of this machine demand.
    Assurance "E_ASSURANCE" Trust,
    /// This software broke a promise of its own. Please report it.
    Bug "E_BUG" Bug,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in parts.
///
/// [`Display`](fmt::Display) gives the headline with found and expected in
/// one line; the program shows the parts in lines of their own.
#[derive(Debug)]
pub struct Error(Box<Parts>);

/// What Linux says of a device that failed; `std` has no word for it.
const EIO: i32 = 5;

#[derive(Debug)]
struct Parts {
    code: Code,
    headline: String,
    context: Vec<String>,
    found: Option<String>,
    expected: Option<String>,
    tried: Vec<String>,
    fix: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with its headline: what was being done, to what.
    pub fn new(code: Code, headline: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            headline: headline.into(),
            context: Vec::new(),
            found: None,
            expected: None,
            tried: Vec::new(),
            fix: None,
            source: None,
        }))
    }

    /// An input or output error, while `doing` it to `what` (a path, as a rule).
    ///
    /// The code follows the cause: a full disk is [`Code::Space`], a missing
    /// file [`Code::NotFound`], and so on. An [`Error`] that travelled inside
    /// of an [`io::Error`] (through a reader) comes out unchanged, with
    /// `doing` as context.
    pub fn io(doing: &str, what: impl fmt::Display, cause: io::Error) -> Self {
        let headline = format!("{doing} {what}");
        match Self::unwrap_io(cause) {
            Ok(inner) => inner.context(headline),
            Err(cause) => {
                let code = match cause.kind() {
                    io::ErrorKind::NotFound => Code::NotFound,
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        Code::Permission
                    }
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::Space,
                    io::ErrorKind::AlreadyExists => Code::Exists,
                    _ if cause.raw_os_error() == Some(EIO) => Code::Device,
                    _ => Code::Io,
                };
                let found = cause.to_string();
                Self::new(code, headline).found(found).cause(cause)
            }
        }
    }

    /// The [`Error`] inside of an [`io::Error`], or that error back.
    pub fn unwrap_io(cause: io::Error) -> std::result::Result<Self, io::Error> {
        if cause.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<Self>) {
            let inner = cause.into_inner().map(<dyn StdError + Send + Sync>::downcast::<Self>);
            match inner {
                Some(Ok(error)) => Ok(*error),
                _ => Err(io::Error::other("an error lost its cause")),
            }
        } else {
            Err(cause)
        }
    }

    /// What was found, in words or as a value.
    pub fn found(mut self, found: impl fmt::Display) -> Self {
        self.0.found = Some(found.to_string());
        self
    }

    /// What was expected instead.
    pub fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.0.expected = Some(expected.to_string());
        self
    }

    /// One of the ways that were tried, in order.
    pub fn tried(mut self, tried: impl fmt::Display) -> Self {
        self.0.tried.push(tried.to_string());
        self
    }

    /// What to do next; as a rule a command.
    pub fn fix(mut self, fix: impl fmt::Display) -> Self {
        self.0.fix = Some(fix.to_string());
        self
    }

    /// The larger operation of which the failed one was a part. The last
    /// context given is the outermost.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.context.push(context.to_string());
        self
    }

    /// The underlying error.
    pub fn cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// The same parts under another code, where an outer operation knows better.
    pub fn recode(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// The stable name of what went wrong.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        self.0.code.kind()
    }

    /// What was being done, to what.
    pub fn headline(&self) -> &str {
        &self.0.headline
    }

    /// The larger operations, innermost first.
    pub fn contexts(&self) -> &[String] {
        &self.0.context
    }

    /// What was found.
    pub fn found_text(&self) -> Option<&str> {
        self.0.found.as_deref()
    }

    /// What was expected.
    pub fn expected_text(&self) -> Option<&str> {
        self.0.expected.as_deref()
    }

    /// The ways that were tried.
    pub fn tried_texts(&self) -> &[String] {
        &self.0.tried
    }

    /// What to do next.
    pub fn fix_text(&self) -> Option<&str> {
        self.0.fix.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.headline)?;
        if let Some(found) = &self.0.found {
            write!(f, ": found {found}")?;
        }
        if let Some(expected) = &self.0.expected {
            let joint = if self.0.found.is_some() { ", expected" } else { ": expected" };
            write!(f, "{joint} {expected}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// Lets an [`Error`] travel through [`io::Read`] and [`io::Write`];
/// [`Error::io`] takes it out again.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn travels_through_io_and_back_unchanged() {
        let inner = Error::new(Code::Digest, "reading blob x").found("a").expected("b");
        let outer = Error::io("unpacking", "layer 2", io::Error::from(inner));
        assert_eq!(outer.code(), Code::Digest);
        assert_eq!(outer.to_string(), "reading blob x: found a, expected b");
        assert_eq!(outer.contexts(), ["unpacking layer 2"]);
    }

    #[test]
    fn the_cause_decides_the_code() {
        let full = Error::io("writing", "/x", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.kind(), Kind::Unavailable);
        let broken = Error::io("writing", "/x", io::Error::from_raw_os_error(EIO));
        assert_eq!((broken.code(), broken.kind().exit_code()), (Code::Device, 5));
        let gone = Error::io("opening", "/x", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(gone.kind().exit_code(), 3);
    }

    #[test]
    fn codes_are_unique_and_explained() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.explanation().ends_with('.')));
    }
}
