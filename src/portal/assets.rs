use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use leptos::config::LeptosOptions;

use crate::pages::Assets;

/// The built site is not where it should be.
#[derive(Debug, thiserror::Error)]
#[error("the site is not in {0}: build it with `make build`, or say where it is with --site")]
pub struct AssetsError(PathBuf);

/// Finds the stylesheet and the islands' files of a built site by their hashed names.
pub fn find(site: &Path) -> Result<Assets, AssetsError> {
    let missing = || AssetsError(site.to_owned());
    let names: Vec<String> = std::fs::read_dir(site.join("pkg"))
        .map_err(|_| missing())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let named = |end: &str| names.iter().find(|name| name.starts_with("atoll.") && name.ends_with(end));
    let stylesheet = named(".css").ok_or_else(missing)?;
    let script = named(".js").ok_or_else(missing)?;
    // Leptos makes the names of script and module from this one.
    let leptos = LeptosOptions::builder()
        .output_name(script.trim_end_matches(".js").to_owned())
        .site_root(site.display().to_string())
        .site_pkg_dir("pkg")
        .build();
    Ok(Assets { leptos, stylesheet: Arc::from(format!("/pkg/{stylesheet}")) })
}
