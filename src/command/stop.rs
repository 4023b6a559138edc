//! When a program is to stop.

use tokio_util::sync::CancellationToken;

/// Whether this process was started with the hangup signal ignored
/// (<https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>, `SigIgn`).
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & 1 == 1)
}

/// Cancelled at the first interrupt, termination or hangup signal.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    #[cfg(unix)]
    let (mut terminate, mut hangup) = {
        use tokio::signal::unix::{SignalKind, signal};
        // Who says that it is ignored, as nohup does, means that.
        (signal(SignalKind::terminate())?, if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) })
    };
    tokio::spawn(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            Some(_) = async { hangup.as_mut()?.recv().await } => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        cancel.cancel();
    });
    Ok(stop)
}
