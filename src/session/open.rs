use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tower_sessions::{Session, SessionStore, session::Record};

use super::{
    Registry, SessionError,
    record::{sign_in_of, user_of},
};

/// A session in which a user is signed in at a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Names it on a page: a digest of its id, which only its own browser may know.
    pub handle: String,
    /// "Firefox on Linux"
    pub browser: String,
    pub since: Option<Timestamp>,
    /// Some minutes old at most.
    pub last_used: Option<Timestamp>,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

fn handle_of(id: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("atoll session {id}"))[..16])
}

impl Registry {
    /// The open sessions of who is signed in with this one, which stands first, then the last used.
    pub async fn open_sessions(&self, session: &Session) -> Result<Vec<OpenSession>, SessionError> {
        let own = session.id().map(|id| id.to_string()).unwrap_or_default();
        let time = |seconds: i64| Timestamp::from_second(seconds).ok();
        let mut open: Vec<OpenSession> = self
            .records_of(session)
            .await?
            .into_iter()
            .filter_map(|record| {
                let id = record.id.to_string();
                let sign_in = sign_in_of(&record).filter(|sign_in| !sign_in.is_over())?;
                Some(OpenSession {
                    handle: handle_of(&id),
                    since: time(sign_in.since),
                    last_used: time(sign_in.noted),
                    browser: sign_in.browser,
                    is_this: id == own,
                })
            })
            .collect();
        open.sort_by_key(|open| (!open.is_this, std::cmp::Reverse(open.last_used)));
        Ok(open)
    }

    /// Ends one other session of the same user, or all others; how many.
    pub async fn end_other_sessions(&self, session: &Session, handle: Option<&str>) -> Result<usize, SessionError> {
        let own = session.id();
        let mut ended = 0;
        for record in self.records_of(session).await? {
            let id = record.id.to_string();
            if Some(record.id) == own || handle.is_some_and(|handle| handle != handle_of(&id)) {
                continue;
            }
            self.store().delete(&record.id).await.map_err(tower_sessions::session::Error::from)?;
            self.forget(&id).await;
            ended += 1;
        }
        Ok(ended)
    }

    /// The stored sessions of who is signed in with this one.
    async fn records_of(&self, session: &Session) -> Result<Vec<Record>, SessionError> {
        let Some(id) = session.id() else { return Ok(Vec::new()) };
        let failed = tower_sessions::session::Error::from;
        let Some(own) = self.store().load(&id).await.map_err(failed)? else { return Ok(Vec::new()) };
        match user_of(&own) {
            Some(user_id) => Ok(self.store().of_user(user_id).await.map_err(failed)?),
            None => Ok(Vec::new()),
        }
    }
}
