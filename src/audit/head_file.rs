//! A file beside the database with the end of the own chain that was signed last. Who rewrites the log has to bring back an
//! older copy of this file, too.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Head, HeadKey};

/// The file.
#[derive(Debug, Clone)]
pub struct HeadFile(PathBuf);

impl HeadFile {
    /// Beside this database: `hub.audit-head` beside `hub.sqlite`.
    pub fn beside(database: &Path) -> HeadFile {
        HeadFile(database.with_extension("audit-head"))
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    /// The end in it; `None` if it is not there, or this key has not signed what stands there.
    pub fn read(&self, key: &HeadKey) -> Option<Head> {
        let text = fs::read_to_string(&self.0).ok()?;
        let (head, signature) = text.trim().split_once(' ')?;
        let head: Head = head.parse().ok()?;
        key.has_signed(&head, signature).then_some(head)
    }

    /// Puts this end into it.
    pub fn write(&self, key: &HeadKey, head: &Head) -> io::Result<()> {
        if self.read(key).as_ref() == Some(head) {
            return Ok(());
        }
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{head} {}", key.sign(head))?;
        // After a power failure it is the old one or this one.
        file.as_file().sync_all()?;
        file.persist(&self.0).map_err(|error| error.error)?;
        Ok(())
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
        assert!(!file.exists() && file.read(&key).is_none());
        for id in [0, 7] {
            let head = Head { id, hash: if id == 0 { String::new() } else { "ab".repeat(32) } };
            file.write(&key, &head).unwrap();
            assert_eq!((file.read(&key), file.read(&other)), (Some(head), None));
        }
        let text = fs::read_to_string(folder.path().join("hub.audit-head")).unwrap();
        for changed in [text.replacen('7', "8", 1), String::new(), "7:".into(), format!("{}0", text.trim())] {
            fs::write(folder.path().join("hub.audit-head"), changed).unwrap();
            assert_eq!(file.read(&key), None);
        }
    }
}
