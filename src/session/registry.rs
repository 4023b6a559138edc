use std::{sync::Arc, time::Duration};

use axum::http::Method;
use jiff::Timestamp;
use moka::future::Cache;
use tokio_util::sync::CancellationToken;
use tower_sessions::Session;

use super::{
    FlashKind, Names, Permissions, SessionError, Sessions,
    flash::put_flash,
    kept::Kept,
    names::UserNames,
    record::{load_sign_in, save_sign_in},
    sealed::stored_id,
    store::{SessionOfUser, TokensOfSession},
};
use crate::protocol::{
    client::{ClientError, HubClient, ReviewQuery, TokenPair, Transport},
    domain::{Task, User},
    review::ReviewState,
};

/// How long it is believed who the user is and what they may do, for what pages offer.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(60);

/// How long names of organizations and collaborations are believed: every page needs them, and they change rarely, …
const NAMES_LIFETIME: Duration = Duration::from_secs(10);
/// … and those of users, of whom there are many.
const USER_NAMES_LIFETIME: Duration = Duration::from_secs(600);
/// How long it is believed how many reviews wait, in the navigation of every page.
const WAITING_LIFETIME: Duration = Duration::from_secs(3);
/// A session that is only read is noted as used at this interval, in seconds.
const NOTED_SECONDS: i64 = 10 * 60;
/// The most open sessions of a user.
const SESSIONS: usize = 50;

/// The signed-in sessions of this process, so that all requests of a session share one client of the hub: its tokens
/// are renewed once, not by each request.
pub struct Registry {
    transport: Transport,
    store: Sessions,
    shared: Cache<String, Shared>,
}

/// What the requests of a session share.
#[derive(Clone)]
struct Shared {
    hub: HubClient,
    identity: Arc<Kept<Identity>>,
    names: Arc<Kept<Names>>,
    user_names: Arc<Kept<UserNames>>,
    waiting_reviews: Arc<Kept<usize>>,
    ended: CancellationToken,
}

struct Identity {
    user: User,
    permissions: Permissions,
}

/// A signed-in user, as pages see it.
#[derive(Clone)]
pub struct SignedIn {
    /// Names the session within this process: the id under which it is stored.
    pub session_id: String,
    pub hub: HubClient,
    pub user: User,
    pub permissions: Permissions,
    names: Arc<Kept<Names>>,
    user_names: Arc<Kept<UserNames>>,
    waiting_reviews: Arc<Kept<usize>>,
    /// Cancelled when the session ends: event streams end with it.
    pub ended: CancellationToken,
}

impl SignedIn {
    /// Whether this task may be stopped.
    pub async fn may_cancel(&self, task: &Task) -> bool {
        let by_deleting = || async {
            self.permissions.may_delete(task, &self.user)
                && self.hub.transport().server().await.is_ok_and(|server| server.deleting_permits_stopping)
        };
        self.permissions.may_stop_tasks() || by_deleting().await
    }

    /// How many reviews wait for this user's decision; `None` for those who decide none, and while it is not known.
    pub async fn waiting_reviews(&self) -> Option<usize> {
        if !self.permissions.may_decide_reviews() {
            return None;
        }
        let ask = async {
            let query = ReviewQuery {
                state: Some(ReviewState::Waiting),
                organization_id: self.user.organization_id,
                per_page: 1,
                ..Default::default()
            };
            Ok(self.hub.reviews(&query).await?.total)
        };
        self.waiting_reviews.get(WAITING_LIFETIME, ask).await.ok().map(|count| *count)
    }

    /// To be called after names were changed or added.
    pub async fn forget_names(&self) {
        self.names.forget().await;
        self.user_names.forget().await;
    }

    /// To be called after a decision: the number is another now.
    pub async fn forget_waiting_reviews(&self) {
        self.waiting_reviews.forget().await;
    }

    /// Names for the ids that the hub's answers hold.
    pub async fn names(&self) -> Result<Arc<Names>, ClientError> {
        let names = self.names.get(NAMES_LIFETIME, Names::load(&self.hub));
        let users = self.user_names.get(USER_NAMES_LIFETIME, UserNames::load(&self.hub));
        let (names, users) = futures::try_join!(names, users)?;
        Ok(Arc::new(names.with(users)))
    }
}

impl Registry {
    /// For the hub at this transport, with sessions in this store.
    pub fn new(transport: Transport, store: Sessions) -> Self {
        Registry {
            transport,
            store,
            shared: Cache::builder().max_capacity(20_000).time_to_idle(Duration::from_secs(3600)).build(),
        }
    }

    /// The hub without anybody signed in.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Where sessions are stored.
    pub fn store(&self) -> &Sessions {
        &self.store
    }

    /// Begins a signed-in session under a new id, so that an id known before is worth nothing.
    pub async fn sign_in(&self, session: &Session, tokens: TokenPair, browser: &str) -> Result<(), SessionError> {
        session.clear().await;
        save_sign_in(session, &tokens, None, browser).await?;
        if session.id().is_some() {
            session.cycle_id().await?;
        }
        // Now, and not at the end of the request: who cannot be remembered has to be told so.
        session.save().await?;
        match tokens.subject {
            Some(user_id) => self.end_unused_sessions(user_id).await,
            None => Ok(()),
        }
    }

    /// Of so many sessions of a user those end that were not used for longest.
    async fn end_unused_sessions(&self, user_id: i64) -> Result<(), SessionError> {
        let failed = tower_sessions::session::Error::from;
        let open = self.store().of_user(user_id).await.map_err(failed)?;
        for id in open.iter().skip(SESSIONS).filter_map(SessionOfUser::id) {
            self.store().delete_stored(&id).await.map_err(failed)?;
            self.forget(&id.to_string()).await;
        }
        Ok(())
    }

    /// Forgets what requests of a session share, and ends its streams: it has ended.
    pub async fn forget(&self, session_id: &str) {
        if let Some(shared) = self.shared.remove(session_id).await {
            shared.ended.cancel();
        }
    }

    /// Forgets what requests share, and ends all streams: browsers open them again, and their sessions are looked at.
    pub async fn forget_all(&self) {
        for (id, _) in &self.shared {
            self.forget(&id).await;
        }
    }

    /// Ends a session whose user is no longer accepted by the hub, if somebody was signed in, and leaves a message
    /// that says so.
    pub async fn expire(&self, session: &Session) -> Result<(), SessionError> {
        if load_sign_in(session).await?.is_none() {
            return Ok(());
        }
        self.sign_out(session).await?;
        put_flash(session, FlashKind::Error, "Your sign-in has ended. Sign in again to go on where you were.").await
    }

    /// Ends a session: its record is deleted.
    pub async fn sign_out(&self, session: &Session) -> Result<(), SessionError> {
        if let Some(id) = session.id() {
            self.forget(&stored_id(&id).to_string()).await;
        }
        if session.id().is_some() {
            session.flush().await?;
        }
        Ok(())
    }

    /// What a session's requests share, with its id, without asking the hub; `None` if nobody is signed in.
    async fn shared(&self, session: &Session, may_store: bool) -> Result<Option<(String, Shared)>, SessionError> {
        let Some(record) = load_sign_in(session).await? else { return Ok(None) };
        let Some(id) = session.id() else { return Ok(None) };
        let id = stored_id(&id).to_string();
        let now = Timestamp::now().as_second();
        if record.is_over() {
            self.expire(session).await?;
            return Ok(None);
        }
        let transport = self.transport.clone();
        let stored = record.tokens();
        let kept = session.id().map(|id| TokensOfSession { sessions: self.store.clone(), id });
        let first = async {
            let hub = match kept {
                Some(kept) => HubClient::with_kept(transport, stored.clone(), Arc::new(kept)),
                None => HubClient::new(transport, stored.clone()),
            };
            Shared {
                hub,
                identity: Arc::default(),
                names: Arc::default(),
                user_names: Arc::default(),
                waiting_reviews: Arc::default(),
                ended: CancellationToken::new(),
            }
        };
        let shared = self.shared.get_with(id.clone(), first).await;
        let mut present = shared.hub.tokens();
        // Another replica has renewed them.
        if stored.expires > present.expires {
            shared.hub.set_tokens(stored.clone());
            present = stored.clone();
        }
        // Storing it also puts off its end, which counts from the last time that it was stored.
        if may_store && (!present.is_same(&stored) || now - record.noted > NOTED_SECONDS) {
            save_sign_in(session, &present, Some(&record), "").await?;
        }
        Ok(Some((id, shared)))
    }

    /// Who is signed in. `Ok(None)`: nobody, or no longer. A session is stored as a whole at the end of a request, so
    /// one that only reads may store renewed tokens and that it was used, and one that changes something leaves it,
    /// lest of two at once the later one brings back what it had read.
    pub async fn current(
        &self,
        session: &Session,
        method: &Method,
    ) -> Result<Result<Option<SignedIn>, ClientError>, SessionError> {
        let Some((session_id, Shared { hub, identity, names, user_names, waiting_reviews, ended })) =
            self.shared(session, method.is_safe()).await?
        else {
            return Ok(Ok(None));
        };
        let ask = async {
            let id = hub.tokens().subject.ok_or(ClientError::SignedOut)?;
            let (user, rules) = futures::try_join!(hub.user(id), hub.rules_of_user(id))?;
            Ok(Identity { user, permissions: Permissions::new(rules) })
        };
        match identity.get(IDENTITY_LIFETIME, ask).await {
            Ok(identity) => Ok(Ok(Some(SignedIn {
                session_id,
                user: identity.user.clone(),
                permissions: identity.permissions.clone(),
                hub,
                names,
                user_names,
                waiting_reviews,
                ended,
            }))),
            // Tokens that are no longer accepted, or a user who is no longer there.
            Err(ClientError::SignedOut | ClientError::NotFound(_)) => {
                self.expire(session).await?;
                Ok(Ok(None))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}
