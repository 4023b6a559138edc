//! What a program tells of itself, on standard error.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// What the journal tells unless `RUST_LOG` says otherwise. A cookie that nobody gave out is no news.
const LOGGED: &str = "info,tower_http=warn,tower_sessions=error,tower_sessions_core=error";

/// Begins, as lines or as JSON.
pub fn begin(as_json: bool) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    // These write whole requests, with the tokens in them.
    for chatty in ["tungstenite=info", "tokio_tungstenite=info", "hyper=info", "hyper_util=info", "h2=info"] {
        filter = filter.add_directive(chatty.parse().context("a directive of the log")?);
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if as_json {
        log.json().init()
    } else {
        log.init()
    }
    Ok(())
}
