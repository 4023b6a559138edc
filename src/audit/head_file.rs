//! A file beside the database with the end of the own chain that was signed last, and whether the program ended then. Who
//! rewrites the log has to bring back an older copy of this file, too.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::{Head, HeadKey};
use crate::protocol::timestamp;

/// For how long the same end needs not be written again.
const SAME_TIME: Duration = Duration::from_secs(60);

/// The longest that it is, in bytes.
const LONGEST: u64 = 4096;

/// The file.
#[derive(Debug, Clone)]
pub struct HeadFile(PathBuf);

impl HeadFile {
    /// Beside this database: `hub.audit-head` beside `hub.sqlite`.
    pub fn beside(database: &Path) -> HeadFile {
        HeadFile(beside(database, "audit-head"))
    }

    /// Whether it is there; `None` if it is not for this program to read.
    pub fn is_readable(&self) -> Option<bool> {
        match fs::metadata(&self.0).map(|there| there.is_file() && fs::File::open(&self.0).is_ok()) {
            Ok(is_readable) => is_readable.then_some(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }

    /// What stands in it; `None` if it is not there, or this key has not signed that.
    pub fn read(&self, key: &HeadKey) -> Option<LastHead> {
        Some(self.read_with_time(key)?.0)
    }

    /// The same with the time (UTC) at which the program looked after its log, or up to a minute before.
    pub fn read_with_time(&self, key: &HeadKey) -> Option<(LastHead, String)> {
        // Whatever somebody puts in its place is not waited for.
        if !fs::metadata(&self.0).is_ok_and(|there| there.is_file() && there.len() <= LONGEST) {
            return None;
        }
        let text = fs::read_to_string(&self.0).ok()?;
        let mut words = text.split_whitespace();
        let (head, state, at, signature) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let last = LastHead { head: head.parse().ok()?, is_closed: state == CLOSED };
        key.has_signed(&last.signed_text(at), signature).then(|| (last, at.to_owned()))
    }

    /// Puts this into it, with the present time.
    pub fn write(&self, key: &HeadKey, last: &LastHead) -> io::Result<()> {
        let is_recent = |at: &str| {
            timestamp::parse(at).is_some_and(|at| Timestamp::now().duration_since(at).unsigned_abs() < SAME_TIME)
        };
        if self.read_with_time(key).is_some_and(|(known, at)| known == *last && is_recent(&at)) {
            return Ok(());
        }
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let at = timestamp::now();
        writeln!(file, "{} {} {at} {}", last.head, last.state(), key.sign(&last.signed_text(&at)))?;
        #[cfg(unix)]
        if !give_to_owner(file.as_file(), &self.0) {
            tracing::warn!(file = %self.0.display(), "only the owner of the file can write it: it stays as it is");
            return Ok(());
        }
        // After a power failure it is the old one or this one.
        file.as_file().sync_all()?;
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.0.display()));
        file.persist(&self.0).map_err(|error| named(error.error))?;
        Ok(())
    }
}

/// Gives a new file the owner of the one in whose place it comes, as where root runs a command beside a program of another
/// user; whether it has that owner.
#[cfg(unix)]
fn give_to_owner(file: &fs::File, before: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (Ok(before), Ok(now)) = (fs::metadata(before), file.metadata()) else { return true };
    before.uid() == now.uid() || fchown(file, Some(before.uid()), Some(before.gid())).is_ok()
}

/// The file with another ending: `node.runs` beside `node.sqlite`, and `node.org1.runs` beside `node.org1`.
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    if file.extension().is_some_and(|extension| extension == "sqlite") {
        return file.with_extension(ending);
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastHead {
    /// The end that was signed last.
    pub head: Head,
    /// Whether nothing came behind it: the program has ended. Of one that was ended by force the last entries have no
    /// signed end, and somebody could have taken them away.
    pub is_closed: bool,
}

const CLOSED: &str = "closed";

impl LastHead {
    fn state(&self) -> &'static str {
        if self.is_closed { CLOSED } else { "open" }
    }

    /// Signed for this file only: the ends in the table are others, which stay there for years.
    fn signed_text(&self, at: &str) -> String {
        format!("last {} {} {at}", self.head, self.state())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_key_has_signed_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = HeadFile::beside(&folder.path().join("hub.sqlite"));
        let (key, other) = (HeadKey::derive(b"a"), HeadKey::derive(b"b"));
        assert!(file.is_readable() == Some(false) && file.read(&key).is_none());
        for id in [0, 7] {
            let head = Head { id, hash: if id == 0 { String::new() } else { "ab".repeat(32) } };
            for is_closed in [false, true] {
                let last = LastHead { head: head.clone(), is_closed };
                file.write(&key, &last).unwrap();
                assert_eq!((file.read(&key), file.read(&other)), (Some(last), None));
            }
            // What is signed in the table is not good here.
            let path = folder.path().join("hub.audit-head");
            for state in ["open", "closed", ""] {
                fs::write(&path, format!("{head} {state} 2026-01-01 {}", key.sign(&head.to_string()))).unwrap();
                assert_eq!(file.read(&key), None);
            }
            file.write(&key, &LastHead { head, is_closed: true }).unwrap();
        }
        #[cfg(target_os = "linux")]
        {
            let pipe = HeadFile::beside(&folder.path().join("pipe.sqlite"));
            assert!(std::process::Command::new("mkfifo").arg(&pipe.0).status().unwrap().success());
            assert!(pipe.is_readable().is_none() && pipe.read(&key).is_none());
            let last = LastHead { head: Head::default(), is_closed: true };
            pipe.write(&key, &last).unwrap();
            assert_eq!(pipe.read(&key), Some(last));
        }
        let text = fs::read_to_string(folder.path().join("hub.audit-head")).unwrap();
        let at = file.read_with_time(&key).unwrap().1;
        for changed in [
            text.replacen(&at, "2020-01-01T00:00:00", 1),
            text.replacen("7:", "8:", 1),
            text.replacen("closed", "open", 1),
            String::new(),
            "7:".into(),
            format!("{}0", text.trim()),
        ] {
            fs::write(folder.path().join("hub.audit-head"), changed).unwrap();
            assert_eq!(file.read(&key), None);
        }
    }
}
