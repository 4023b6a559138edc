use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tower_sessions::{Session, SessionStore};

use super::{
    Registry, SessionError,
    record::{has_lasted_too_long, user_of},
    sealed::stored_id,
    store::SessionOfUser,
};

/// A session in which a user is signed in at a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Names it on a page: a digest of the id under which it is stored.
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
        let own = session.id().map(|id| stored_id(&id));
        let time = |seconds: i64| Timestamp::from_second(seconds).ok();
        let mut open: Vec<OpenSession> = self
            .all_of(session)
            .await?
            .into_iter()
            .filter(|open| !has_lasted_too_long(open.since))
            .filter_map(|open| {
                let id = open.id()?;
                Some(OpenSession {
                    handle: handle_of(&id.to_string()),
                    since: time(open.since),
                    last_used: time(open.last_used),
                    browser: open.browser,
                    is_this: Some(id) == own,
                })
            })
            .collect();
        open.sort_by_key(|open| (!open.is_this, std::cmp::Reverse(open.last_used)));
        Ok(open)
    }

    /// Ends one other session of the same user, or all others; how many.
    pub async fn end_other_sessions(&self, session: &Session, handle: Option<&str>) -> Result<usize, SessionError> {
        let own = session.id().map(|id| stored_id(&id));
        let mut ended = 0;
        for id in self.all_of(session).await?.iter().filter_map(SessionOfUser::id) {
            let name = id.to_string();
            if Some(id) == own || handle.is_some_and(|handle| handle != handle_of(&name)) {
                continue;
            }
            self.store().delete_stored(&id).await.map_err(tower_sessions::session::Error::from)?;
            self.forget(&name).await;
            ended += 1;
        }
        Ok(ended)
    }

    /// The stored sessions of who is signed in with this one.
    async fn all_of(&self, session: &Session) -> Result<Vec<SessionOfUser>, SessionError> {
        let Some(id) = session.id() else { return Ok(Vec::new()) };
        let failed = tower_sessions::session::Error::from;
        let Some(own) = self.store().load(&id).await.map_err(failed)? else { return Ok(Vec::new()) };
        match user_of(&own) {
            Some(user_id) => Ok(self.store().of_user(user_id).await.map_err(failed)?),
            None => Ok(Vec::new()),
        }
    }
}
