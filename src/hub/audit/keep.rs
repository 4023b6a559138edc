//! What the audit log gets at intervals, and where it goes besides.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use sqlx::{Sqlite, pool::PoolConnection};
use tokio::time::{MissedTickBehavior, interval};

use super::{close, refusal::note_repeated, sign_head, sign_new_head, tell_head};
use crate::hub::{
    HubError,
    error::is_disk_full,
    problem::{DISK_FULL, Kind},
    server::HubState,
};

/// How often counted refusals are written, and the hub checks whether somebody else wrote to its file.
const ROUND: Duration = Duration::from_secs(60);
/// How often the end is signed, if it is another one.
const SIGN: Duration = Duration::from_secs(1);
/// After how many rounds the end is written into the program's log.
const TELL: u64 = 60;
/// How often a second file is given the entries that it lacks.
const SHIP: Duration = Duration::from_secs(1);

/// Keeps the log for as long as the hub is there.
pub fn keep(hub: &Arc<HubState>) {
    tokio::spawn(keep_rounds(Arc::downgrade(hub)));
    tokio::spawn(keep_signed(Arc::downgrade(hub)));
    if let Some(file) = hub.audit_file.clone() {
        tokio::spawn(keep_file(Arc::downgrade(hub), file));
    }
}

/// Writes what is left when the hub ends, and signs the end: nothing else is written as long as the connection is held.
pub async fn end(hub: &HubState) -> Option<PoolConnection<Sqlite>> {
    round(hub).await;
    tell(hub).await;
    if let Some(file) = &hub.audit_file {
        ship(hub, file).await;
    }
    close(hub).await.inspect_err(|error| tracing::error!(%error, "that the audit log ends here is not signed")).ok()
}

async fn keep_rounds(hub: Weak<HubState>) {
    let mut interval = interval(ROUND);
    for number in 0_u64.. {
        interval.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        round(&hub).await;
        hub.forget_idle();
        if number.is_multiple_of(TELL) {
            tell(&hub).await;
        }
    }
}

async fn keep_signed(hub: Weak<HubState>) {
    let mut interval = interval(SIGN);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        // A full disk is told by the rounds.
        if let Err(error) = sign_new_head(&hub).await {
            tracing::debug!(%error, "the end of the audit log is not signed");
        }
    }
}

async fn round(hub: &HubState) {
    let noted = async {
        hub.store.write_something().await?;
        note_repeated(hub).await?;
        sign_head(hub).await
    };
    match noted.await {
        Ok(()) => hub.problems.set(Kind::DiskFull, None),
        Err(HubError::Database(error)) if is_disk_full(&error) => {
            hub.problems.set(Kind::DiskFull, Some(DISK_FULL.to_owned()));
        }
        Err(error) => tracing::error!(%error, "the audit log is not kept as it should be"),
    }
}

async fn tell(hub: &HubState) {
    if let Err(error) = tell_head(hub).await {
        tracing::error!(%error, "the end of the audit log is not known");
    }
}

async fn keep_file(hub: Weak<HubState>, file: PathBuf) {
    let mut interval = interval(SHIP);
    loop {
        interval.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        ship(&hub, &file).await;
    }
}

async fn ship(hub: &HubState, file: &Path) {
    let mut known = hub.shipped.lock().await;
    let shipped = crate::audit::ship(hub.store.reader(), hub.store.bookkeeping(), file, &mut known).await;
    let trouble = shipped.err().map(|error| {
        format!("Entries of the audit log wait: {error}. None is lost: they are written when it works again.")
    });
    hub.problems.set(Kind::AuditFile, trouble);
}
