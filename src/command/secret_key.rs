use std::path::Path;

use anyhow::Context;
use atoll::hub::SecretKey;

/// The file in the data folder, without another one.
const FILE: &str = "hub.key";

/// The key of a hub that starts: from a file that was said, a credential of systemd, a variable, or the file in the data
/// folder, which is made if it is missing.
pub fn of_server(given: Option<&Path>, data: &Path) -> anyhow::Result<SecretKey> {
    match given_elsewhere(given)? {
        Some(key) => Ok(key),
        None => Ok(SecretKey::from_file(&data.join(FILE))?),
    }
}

/// The same key for somebody who only looks: nothing is made.
pub fn if_there_is_one(given: Option<&Path>, data: &Path) -> anyhow::Result<Option<SecretKey>> {
    let file = data.join(FILE);
    match given_elsewhere(given)? {
        Some(key) => Ok(Some(key)),
        None if file.exists() => Ok(Some(SecretKey::from_file(&file)?)),
        None => Ok(None),
    }
}

fn given_elsewhere(given: Option<&Path>) -> anyhow::Result<Option<SecretKey>> {
    let of_systemd =
        std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join("atoll-secret-key"));
    if let Some(path) = given.map(Path::to_owned).or(of_systemd.filter(|path| path.exists())) {
        let material = std::fs::read(&path).with_context(|| format!("reading the secret key {}", path.display()))?;
        return Ok(Some(SecretKey::from_material(&material)?));
    }
    let of_variable = std::env::var("ATOLL_SECRET_KEY").ok().filter(|key| !key.is_empty());
    Ok(of_variable.map(|material| SecretKey::from_material(material.as_bytes())).transpose()?)
}
