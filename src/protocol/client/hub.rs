use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use reqwest::Method;
use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    ClientError, TokenPair, Transport,
    store::{Algorithms, no_algorithms},
    transport::{Answer, parse, parse_as},
};
use crate::protocol::wire::v4;

/// The outcome of a sign-in that was not refused.
pub enum SignIn {
    Done(TokenPair),
    /// A code of the second factor is needed.
    NeedsSecondFactor,
    /// The second factor has to be set up with an authenticator app.
    SetUpSecondFactor(SecondFactor),
}

/// What an authenticator app has to know.
#[derive(Clone)]
pub struct SecondFactor {
    /// `otpauth://totp/…`, for a QR code.
    pub qr_uri: SecretString,
    /// The same in base32, for typing.
    pub secret: SecretString,
}

/// A header that says that a browser signs in, which keeps what it is known by; …
pub const BROWSER: &str = "atoll-browser";
/// … and one with that. Our hub counts wrong passwords of known browsers by themselves; others do not look at it.
pub const KNOWN_BROWSER: &str = "atoll-known-browser";

/// Signs a user in. Wrong credentials are [`ClientError::NotAllowed`]. The headers go with the request.
pub async fn sign_in_user(
    transport: &Transport,
    username: &str,
    password: &SecretString,
    second_factor: Option<&str>,
    headers: &[(&'static str, String)],
) -> Result<SignIn, ClientError> {
    use secrecy::ExposeSecret;
    let mut body = json!({"username": username, "password": password.expose_secret()});
    if let Some(code) = second_factor {
        body["mfa_code"] = json!(code);
    }
    let answer = transport.send(Method::POST, "token/user", &[], Some(&body), None, headers).await?;
    Ok(parse::<v4::SignInReply>(answer).await?.into())
}

impl From<v4::SignInReply> for SignIn {
    fn from(wire: v4::SignInReply) -> Self {
        match wire {
            v4::SignInReply::Tokens(tokens) => SignIn::Done(tokens.into()),
            v4::SignInReply::SecondFactor { .. } => SignIn::NeedsSecondFactor,
            v4::SignInReply::SetUpSecondFactor { qr_uri, otp_secret, .. } => {
                SignIn::SetUpSecondFactor(SecondFactor { qr_uri: qr_uri.into(), secret: otp_secret.into() })
            }
        }
    }
}

/// Signs a node in by its API key.
pub async fn sign_in_node(
    transport: &Transport,
    api_key: &SecretString,
    station: &str,
) -> Result<TokenPair, ClientError> {
    use secrecy::ExposeSecret;
    let body = json!({"api_key": api_key.expose_secret()});
    let headers = [(v4::STATION, station.to_owned())];
    let answer = transport.send(Method::POST, "token/node", &[], Some(&body), None, &headers).await?;
    Ok(parse::<v4::Tokens>(answer).await?.into())
}

/// A server, asked by somebody who is signed in: a user, a node or a container. Clones share the tokens.
#[derive(Clone)]
pub struct HubClient {
    transport: Transport,
    tokens: Arc<RwLock<TokenPair>>,
    refreshing: Arc<Mutex<()>>,
    algorithms: Algorithms,
    /// Where the tokens are kept, if others use them, too.
    kept: Option<Arc<dyn KeptTokens>>,
}

/// Tokens that several processes use, as the portals before one hub do. A refresh token is good once, so that only one may
/// renew them, and what it got has to be kept before anything else.
#[async_trait]
pub trait KeptTokens: Send + Sync {
    /// Keeps others from renewing them until what is given is dropped; `None` if that cannot be had at the moment.
    async fn lock(&self) -> Option<Box<dyn Send + Sync>>;
    /// As they are kept now.
    async fn load(&self) -> Option<TokenPair>;
    /// Keeps others.
    async fn store(&self, tokens: &TokenPair);
}

/// What was read of a list, how many items there are in all, and the bytes of the answer.
pub(super) struct Counted<T> {
    pub read: T,
    pub total: Option<usize>,
    pub bytes: usize,
}

impl HubClient {
    /// A client that asks with these tokens and renews them when needed.
    pub fn new(transport: Transport, tokens: TokenPair) -> Self {
        HubClient {
            transport,
            tokens: Arc::new(RwLock::new(tokens)),
            refreshing: Arc::default(),
            algorithms: no_algorithms(),
            kept: None,
        }
    }

    /// A client whose tokens others use as well.
    pub fn with_kept(transport: Transport, tokens: TokenPair, kept: Arc<dyn KeptTokens>) -> Self {
        HubClient { kept: Some(kept), ..HubClient::new(transport, tokens) }
    }

    /// A client with a token that does not end and cannot be renewed, as containers have.
    pub fn with_token(transport: Transport, token: String) -> Self {
        HubClient::new(transport, TokenPair::new(token, String::new()))
    }

    /// The present tokens; they change when they are renewed.
    pub fn tokens(&self) -> TokenPair {
        self.tokens.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The connections below.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The same client, for answers of at most this many bytes.
    pub(super) fn limited(&self, answer_limit: usize) -> HubClient {
        HubClient { transport: self.transport.limited(answer_limit), ..self.clone() }
    }

    /// What stores have, as far as it was read lately.
    pub(super) fn algorithms(&self) -> &Algorithms {
        &self.algorithms
    }

    /// Renews the tokens, unless another call did while this one waited. [`ClientError::SignedOut`] if the server
    /// refuses.
    pub async fn refresh(&self, stale: &TokenPair) -> Result<(), ClientError> {
        use secrecy::ExposeSecret;
        let _guard = self.refreshing.lock().await;
        let present = self.tokens();
        if !present.is_same(stale) {
            return Ok(());
        }
        if present.refresh.expose_secret().is_empty() {
            return Err(ClientError::SignedOut);
        }
        let _others = match &self.kept {
            Some(kept) => {
                let away = || ClientError::Unreachable("the store of sessions does not answer".to_owned());
                let others = kept.lock().await.ok_or_else(away)?;
                // Somebody else was faster.
                if let Some(newer) = kept.load().await.filter(|stored| stored.expires > present.expires) {
                    self.set_tokens(newer);
                    return Ok(());
                }
                Some(others)
            }
            None => None,
        };
        let answer =
            self.transport.send(Method::POST, "token/refresh", &[], None::<&()>, Some(&present.refresh), &[]).await;
        let renewed: v4::Tokens = match answer {
            Ok(answer) => parse(answer).await?,
            Err(error) if error.is_temporary() => return Err(error),
            Err(ClientError::NotAllowed(_) | ClientError::Rejected { .. } | ClientError::NotFound(_)) => {
                return Err(ClientError::SignedOut);
            }
            Err(error) => return Err(error),
        };
        let renewed: TokenPair = renewed.into();
        if let Some(kept) = &self.kept {
            kept.store(&renewed).await;
        }
        self.set_tokens(renewed);
        Ok(())
    }

    /// Goes on with other tokens, after a new sign-in.
    pub fn set_tokens(&self, tokens: TokenPair) {
        *self.tokens.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = tokens;
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        body: Option<&impl Serialize>,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, ClientError> {
        let mut tokens = self.tokens();
        let mut renewed = false;
        if tokens.is_expiring() {
            self.refresh(&tokens).await?;
            tokens = self.tokens();
            renewed = true;
        }
        let outcome = self.transport.send(method.clone(), path, query, body, Some(&tokens.access), headers).await;
        match outcome {
            // 4.x answers 401 for a token that it no longer knows as well as for a missing permission. The
            // messages of the former speak of the token.
            Err(error) if !renewed && is_about_token(&error) => {
                self.refresh(&tokens).await?;
                let tokens = self.tokens();
                match self.transport.send(method, path, query, body, Some(&tokens.access), headers).await {
                    Err(error) if is_about_token(&error) => Err(ClientError::SignedOut),
                    outcome => outcome,
                }
            }
            Err(error) if is_about_token(&error) => Err(ClientError::SignedOut),
            outcome => outcome,
        }
    }

    pub(super) async fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> Result<T, ClientError> {
        parse(self.send(Method::GET, path, query, None::<&()>, &[]).await?).await
    }

    /// As [`HubClient::get`], with headers of its own.
    pub(super) async fn get_with<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> Result<T, ClientError> {
        parse(self.send(Method::GET, path, &[], None::<&()>, headers).await?).await
    }

    /// What is made of an answer, which may be large; its size and its total are told, too.
    pub(super) async fn get_counted<W: DeserializeOwned, T: Send + 'static>(
        &self,
        path: &str,
        query: &[(String, String)],
        make: impl FnOnce(W) -> T + Send + 'static,
    ) -> Result<Counted<T>, ClientError> {
        let answer = self.send(Method::GET, path, query, None::<&()>, &[]).await?;
        let (total, bytes) = (answer.total_count, answer.length);
        Ok(Counted { read: parse_as(answer, make).await?, total, bytes })
    }

    pub(super) async fn post<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        parse(self.send(Method::POST, path, &[], Some(body), &[]).await?).await
    }

    pub(super) async fn patch_for<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        parse(self.send(Method::PATCH, path, &[], Some(body), &[]).await?).await
    }

    pub(super) async fn patch(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.send(Method::PATCH, path, &[], Some(body), &[]).await.map(drop)
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, path, &[], None::<&()>, &[]).await.map(drop)
    }

    /// Deletes something with all that depends on it.
    pub(super) async fn delete_with_dependents(&self, path: &str) -> Result<(), ClientError> {
        let query = [("delete_dependents".to_owned(), "true".to_owned())];
        self.send(Method::DELETE, path, &query, None::<&()>, &[]).await.map(drop)
    }
}

/// Whether an answer means the token and not what was asked. Servers of the 4.x line say 401, and 422 for tokens
/// that they cannot read.
fn is_about_token(error: &ClientError) -> bool {
    let message = match error {
        ClientError::NotAllowed(message) | ClientError::Rejected { status: 422, message, .. } => message,
        _ => return false,
    };
    let message = message.to_ascii_lowercase();
    let words = ["token", "authorization header", "signature", "not enough segments", "error loading the user"];
    words.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use secrecy::ExposeSecret;

    /// A pair that ends so many seconds after the year 2100 began.
    fn pair(number: usize) -> TokenPair {
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub": 7, "exp": {}}}"#, 4_102_444_800_usize + number));
        TokenPair::new(format!("header.{claims}.signature"), format!("refresh {number}"))
    }

    /// What two portals have in common.
    struct Store {
        turn: Arc<Mutex<()>>,
        tokens: RwLock<TokenPair>,
    }

    #[async_trait]
    impl KeptTokens for Store {
        async fn lock(&self) -> Option<Box<dyn Send + Sync>> {
            Some(Box::new(self.turn.clone().lock_owned().await))
        }

        async fn load(&self) -> Option<TokenPair> {
            Some(self.tokens.read().unwrap().clone())
        }

        async fn store(&self, tokens: &TokenPair) {
            *self.tokens.write().unwrap() = tokens.clone();
        }
    }

    /// A hub at which each refresh token is good once; its address, and how often one came that was not.
    async fn hub() -> (url::Url, Arc<(AtomicUsize, AtomicUsize)>) {
        let counts: Arc<(AtomicUsize, AtomicUsize)> = Arc::default();
        let refresh = async |State(counts): State<Arc<(AtomicUsize, AtomicUsize)>>, headers: HeaderMap| {
            let expected = format!("Bearer refresh {}", counts.0.load(Ordering::SeqCst));
            if headers["authorization"] != expected.as_str() {
                counts.1.fetch_add(1, Ordering::SeqCst);
            }
            let next = pair(counts.0.fetch_add(1, Ordering::SeqCst) + 1);
            let text = |secret: &SecretString| secret.expose_secret().to_owned();
            Json(json!({"access_token": text(&next.access), "refresh_token": text(&next.refresh)}))
        };
        let router = Router::new().route("/token/refresh", post(refresh)).with_state(counts.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, counts)
    }

    #[tokio::test]
    async fn of_two_portals_one_renews_the_tokens_of_a_session_and_the_other_takes_them() {
        let (url, counts) = hub().await;
        let store = Arc::new(Store { turn: Arc::default(), tokens: RwLock::new(pair(0)) });
        let portals: Vec<HubClient> =
            (0..2).map(|_| HubClient::with_kept(Transport::new(&url).unwrap(), pair(0), store.clone())).collect();
        let stale = pair(0);
        let (one, other) = tokio::join!(portals[0].refresh(&stale), portals[1].refresh(&stale));
        one.unwrap();
        other.unwrap();
        assert_eq!((counts.0.load(Ordering::SeqCst), counts.1.load(Ordering::SeqCst)), (1, 0), "renewed once");
        assert!(portals[0].tokens().is_same(&portals[1].tokens()));
        // Kept at once: a portal that starts anew goes on with them.
        let anew = HubClient::with_kept(Transport::new(&url).unwrap(), store.load().await.unwrap(), store.clone());
        anew.refresh(&anew.tokens()).await.unwrap();
        assert_eq!(counts.1.load(Ordering::SeqCst), 0, "no refresh token came twice");
    }
}
