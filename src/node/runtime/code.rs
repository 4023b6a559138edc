//! What a command runs, as a digest: a review is bound to it.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::ProcessError;
use crate::node::config::AlgorithmConfig;

/// The SHA-256 of a command: of its words, its program, the files that it names by their whole path, the files and
/// folders that the configuration calls its code, and its variables. Reads them all. The variables go into it with the
/// key of the node, since the digest is told and values of variables may be secrets that are easily guessed.
pub fn digest(
    algorithm: &AlgorithmConfig,
    algorithm_env: &BTreeMap<String, String>,
    key: &SecretString,
) -> Result<String, ProcessError> {
    let mut hash = Sha256::new();
    add_count(&mut hash, algorithm.command.len());
    for word in &algorithm.command {
        add_text(&mut hash, word);
    }
    let words = algorithm.command.iter().skip(1).map(PathBuf::from).filter(|path| path.is_absolute() && path.is_file());
    let files: Vec<PathBuf> = program(algorithm).into_iter().chain(words).collect();
    for paths in [&files, &algorithm.code] {
        add_count(&mut hash, paths.len());
        for path in paths {
            add(&mut hash, path)?;
        }
    }
    let mut secret = Sha256::new();
    add_text(&mut secret, key.expose_secret());
    for variables in [algorithm_env, &algorithm.environment] {
        add_count(&mut secret, variables.len());
        for (name, value) in variables {
            add_text(&mut secret, name);
            add_text(&mut secret, value);
        }
    }
    hash.update(secret.finalize());
    Ok(format!("sha256:{:x}", hash.finalize()))
}

/// Tells the admin at the start what no run could be started with.
pub fn warn_of_missing_code(algorithms: &[AlgorithmConfig]) {
    for algorithm in algorithms {
        let image = &algorithm.image;
        if program(algorithm).is_none() {
            tracing::warn!(image, "the program of an algorithm is not there");
        }
        for path in algorithm.code.iter().filter(|path| !path.exists()) {
            tracing::warn!(image, path = %path.display(), "code of an algorithm is not there");
        }
    }
}

/// The file of the program, looked for as the system does.
fn program(algorithm: &AlgorithmConfig) -> Option<PathBuf> {
    which::which(algorithm.command.first()?).ok()
}

fn add_count(hash: &mut Sha256, count: usize) {
    hash.update((count as u64).to_be_bytes());
}

/// With its length, so that two texts are never taken for two others.
fn add_text(hash: &mut Sha256, text: &str) {
    add_count(hash, text.len());
    hash.update(text);
}

/// A file, or a folder with all that is in it. Links are followed.
fn add(hash: &mut Sha256, path: &Path) -> Result<(), ProcessError> {
    let failed = |error: io::Error| ProcessError::Code { path: path.to_owned(), error };
    for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            // A link that leads back to where it came from adds nothing, and one in a folder that leads nowhere is no
            // code.
            Err(error) if error.loop_ancestor().is_some() => continue,
            Err(error) if error.depth() > 0 && error.path().is_some_and(Path::is_symlink) => continue,
            Err(error) => return Err(failed(error.into())),
        };
        add_text(hash, &entry.path().to_string_lossy());
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            // Nothing that would have to be waited for, or never ends.
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let mut content = Sha256::new();
        io::copy(&mut File::open(entry.path()).map_err(failed)?, &mut content).map_err(failed)?;
        hash.update(content.finalize());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    #[test]
    fn whatever_changes_in_the_code_or_its_variables_changes_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("package")).unwrap();
        fs::create_dir(path("release")).unwrap();
        fs::write(path("package/a.py"), "1").unwrap();
        fs::write(path("release/b.py"), "1").unwrap();
        fs::write(path("program"), "run").unwrap();
        fs::set_permissions(path("program"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink(path("release"), path("package/current")).unwrap();
        symlink(path("package"), path("release/back")).unwrap();
        let mut algorithm = AlgorithmConfig {
            image: "example.org/median".to_owned(),
            command: vec![path("program").display().to_string(), "-c".to_owned()],
            code: vec![path("package")],
            ..AlgorithmConfig::default()
        };
        let mut of_all = BTreeMap::new();
        let key = SecretString::from("key");
        let mut digests = vec![digest(&algorithm, &of_all, &key).unwrap()];
        assert_eq!(digest(&algorithm, &of_all, &key).unwrap(), digests[0]);
        let mut note = |algorithm: &AlgorithmConfig, of_all: &BTreeMap<String, String>| {
            digests.push(digest(algorithm, of_all, &key).unwrap());
        };
        fs::write(path("program"), "walk").unwrap();
        note(&algorithm, &of_all);
        fs::write(path("package/a.py"), "2").unwrap();
        note(&algorithm, &of_all);
        fs::rename(path("package/a.py"), path("package/c.py")).unwrap();
        note(&algorithm, &of_all);
        // Behind a link.
        fs::write(path("release/b.py"), "2").unwrap();
        note(&algorithm, &of_all);
        algorithm.command.push("-d".to_owned());
        note(&algorithm, &of_all);
        // What is a word of the command is not what is its code.
        let code = algorithm.code.remove(0);
        algorithm.command.push(code.display().to_string());
        note(&algorithm, &of_all);
        algorithm.environment.insert("PKG_NAME".to_owned(), "median".to_owned());
        note(&algorithm, &of_all);
        algorithm.environment.insert("PKG_NAME".to_owned(), "other".to_owned());
        note(&algorithm, &of_all);
        of_all.insert("PRIVACY_THRESHOLD".to_owned(), "5".to_owned());
        note(&algorithm, &of_all);
        // Found by its name alone.
        algorithm.command = vec!["sh".to_owned()];
        note(&algorithm, &of_all);
        let count = digests.len();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), count);
        let other_node = digest(&algorithm, &of_all, &SecretString::from("other")).unwrap();
        assert!(!digests.contains(&other_node), "the values of variables cannot be guessed from it");
    }

    #[test]
    fn code_that_cannot_be_read_is_told_without_its_place() {
        for code in ["/nowhere/at/all", "/dev/zero"] {
            let algorithm = AlgorithmConfig { code: vec![code.into()], ..AlgorithmConfig::default() };
            let error = digest(&algorithm, &BTreeMap::new(), &SecretString::from("key")).unwrap_err().to_string();
            assert!(!error.contains(code), "{error}");
        }
    }
}
