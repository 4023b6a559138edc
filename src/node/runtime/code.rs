//! What a command runs, as a digest: a review is bound to it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::ProcessError;
use crate::node::config::AlgorithmConfig;

/// The SHA-256 of a command: of its words, of those files that it names by their whole path, and of the files and
/// folders that the configuration calls its code. Reads them all.
pub fn digest(algorithm: &AlgorithmConfig) -> Result<String, ProcessError> {
    let mut hash = Sha256::new();
    for word in &algorithm.command {
        add_text(&mut hash, word);
        let path = Path::new(word);
        if path.is_absolute() && path.is_file() {
            add(&mut hash, path)?;
        }
    }
    for path in &algorithm.code {
        add(&mut hash, path)?;
    }
    Ok(format!("sha256:{:x}", hash.finalize()))
}

/// With its length, so that two texts are never taken for two others.
fn add_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

/// A file, or a folder with all that is in it.
fn add(hash: &mut Sha256, path: &Path) -> Result<(), ProcessError> {
    add_text(hash, &path.to_string_lossy());
    let failed = |error: io::Error| ProcessError::Code { path: path.to_owned(), error };
    if fs::metadata(path).map_err(failed)?.is_dir() {
        let entries: Result<Vec<PathBuf>, io::Error> =
            fs::read_dir(path).map_err(failed)?.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut entries = entries.map_err(failed)?;
        entries.sort();
        hash.update((entries.len() as u64).to_be_bytes());
        for entry in entries {
            let kind = fs::symlink_metadata(&entry).map_err(failed)?;
            if kind.is_symlink() && entry.is_dir() {
                // Not followed: it could lead back to where it came from.
                add_text(hash, &fs::read_link(&entry).map_err(failed)?.to_string_lossy());
                continue;
            }
            add(hash, &entry)?;
        }
        return Ok(());
    }
    let mut content = Sha256::new();
    io::copy(&mut File::open(path).map_err(failed)?, &mut content).map_err(failed)?;
    hash.update(content.finalize());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_in_the_code_changes_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("package")).unwrap();
        fs::write(path("package/a.py"), "1").unwrap();
        fs::write(path("program"), "run").unwrap();
        let algorithm = |word: &str| AlgorithmConfig {
            image: "example.org/median".to_owned(),
            command: vec![path("program").display().to_string(), word.to_owned()],
            code: vec![path("package")],
            ..AlgorithmConfig::default()
        };
        let of = |word: &str| digest(&algorithm(word)).unwrap();
        let first = of("-c");
        assert_eq!(of("-c"), first);
        assert_ne!(of("-d"), first);
        fs::write(path("program"), "walk").unwrap();
        let second = of("-c");
        fs::write(path("package/a.py"), "2").unwrap();
        let third = of("-c");
        fs::rename(path("package/a.py"), path("package/b.py")).unwrap();
        let fourth = of("-c");
        let mut all = vec![first, second, third, fourth];
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
        fs::remove_dir_all(path("package")).unwrap();
        let error = digest(&algorithm("-c")).unwrap_err().to_string();
        assert!(!error.contains(&folder.path().display().to_string()), "{error}");
    }
}
