//! JSON web tokens with the claims of vantage6 4.x, signed with HMAC-SHA256 and no other algorithm.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto::verify};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::HubError;
use crate::protocol::brief;

/// Lifetime of an access token in seconds.
pub const ACCESS_SECONDS: i64 = 6 * 3600;
/// Lifetime of a refresh token in seconds.
pub const REFRESH_SECONDS: i64 = 48 * 3600;
/// How long a browser is known.
const KNOWN_BROWSER_SECONDS: i64 = 180 * 24 * 3600;

/// Whom a token names. On the wire `sub` is the id of a user or a node, or an object for a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    Id(i64),
    Container(Box<ContainerSubject>),
}

/// What a container token says: which task it belongs to, and what its subtasks are bound to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSubject {
    pub client_type: String,
    pub node_id: i64,
    pub organization_id: i64,
    pub collaboration_id: i64,
    pub study_id: Option<i64>,
    pub store_id: Option<i64>,
    pub task_id: i64,
    pub image: String,
    pub databases: Vec<serde_json::Value>,
}

/// The kind of client that a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientType {
    User,
    Node,
    Container,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    Access,
    Refresh,
    /// Replaces a forgotten password; sent by mail.
    #[serde(rename = "password reset")]
    PasswordReset,
    /// Replaces a lost second factor; sent by mail.
    #[serde(rename = "second factor reset")]
    SecondFactorReset,
    /// Tells that a user was signed in before in the browser that has it, and nothing else.
    #[serde(rename = "known browser")]
    KnownBrowser,
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    pub sub: Subject,
    #[serde(rename = "type")]
    pub purpose: Purpose,
    pub client_type: ClientType,
    pub roles: Vec<String>,
    pub fresh: bool,
    pub jti: Uuid,
    /// The epoch of its owner's tokens in which it was issued.
    #[serde(default)]
    pub epoch: i64,
    /// Those that follow from the same sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Uuid>,
    /// Which station a node of ours is, beside others with its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<Uuid>,
    pub iat: i64,
    pub nbf: i64,
    /// Seconds since 1970. Container tokens have none: they end with their task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// For recovery: a digest of what is replaced. When it has changed, the token has been used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Claims {
    /// Claims from now on, and nothing more.
    fn new(sub: Subject, client_type: ClientType, purpose: Purpose, exp: Option<i64>) -> Claims {
        let now = Timestamp::now().as_second();
        Claims {
            sub,
            purpose,
            client_type,
            roles: Vec::new(),
            fresh: false,
            jti: Uuid::new_v4(),
            epoch: 0,
            family: None,
            station: None,
            iat: now,
            nbf: now,
            exp,
            state: None,
        }
    }
}

/// Seconds by which clocks may differ.
const LEEWAY: i64 = 5;

/// Signs and checks tokens.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    /// Families of which a token came a second time.
    ended: Cache<Uuid, ()>,
}

/// A pair of tokens, and what has to be known of them.
pub struct Issued {
    pub access: String,
    pub refresh: String,
    pub refresh_id: Uuid,
    pub family: Uuid,
    /// When the refresh token ends, in seconds since 1970.
    pub ends_at: i64,
}

/// Whom a pair of tokens is for.
pub struct Owner {
    pub id: i64,
    pub client_type: ClientType,
    pub roles: Vec<String>,
    pub epoch: i64,
    /// Of a node of ours that signs in.
    pub station: Option<Uuid>,
}

impl Tokens {
    /// With a secret of at least 32 bytes from the operating system's random source.
    pub fn new(secret: &[u8]) -> Self {
        Tokens {
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            // No token lives longer than a refresh token, whose family it is.
            ended: Cache::builder()
                .max_capacity(1_000_000)
                .time_to_live(Duration::from_secs(2 * REFRESH_SECONDS as u64))
                .build(),
        }
    }

    /// A pair of tokens: of a new family, or of that of the token which it replaces. A user's family ends 48 hours after
    /// the sign-in; nodes of vantage6 cannot sign in again by themselves, so theirs goes on.
    pub fn issue(&self, owner: Owner, replaced: Option<&Claims>) -> Result<Issued, HubError> {
        let now = Timestamp::now().as_second();
        let family = replaced.and_then(|claims| claims.family).unwrap_or_else(Uuid::new_v4);
        let ends_at = match replaced.and_then(|claims| claims.exp) {
            Some(ends_at) if owner.client_type == ClientType::User => ends_at,
            _ => now + REFRESH_SECONDS,
        };
        let claims = |purpose, exp| Claims {
            station: owner.station,
            roles: owner.roles.clone(),
            fresh: replaced.is_none(),
            epoch: owner.epoch,
            family: Some(family),
            ..Claims::new(Subject::Id(owner.id), owner.client_type, purpose, Some(exp))
        };
        let refresh = claims(Purpose::Refresh, ends_at);
        Ok(Issued {
            access: self.encode(&claims(Purpose::Access, ends_at.min(now + ACCESS_SECONDS)))?,
            refresh_id: refresh.jti,
            refresh: self.encode(&refresh)?,
            family,
            ends_at,
        })
    }

    /// A token for the algorithm of a run, issued to its node. It ends with the run.
    pub fn sign_for_container(&self, subject: ContainerSubject, epoch: i64) -> Result<String, HubError> {
        let subject = Subject::Container(Box::new(subject));
        let claims = Claims::new(subject, ClientType::Container, Purpose::Access, None);
        self.encode(&Claims { roles: vec!["container".to_owned()], epoch, ..claims })
    }

    /// A token by which a browser is known in which this user was signed in before.
    pub fn sign_for_browser(&self, user_id: i64, id: Uuid, epoch: i64) -> Result<String, HubError> {
        let ends_at = Timestamp::now().as_second() + KNOWN_BROWSER_SECONDS;
        let claims = Claims::new(Subject::Id(user_id), ClientType::User, Purpose::KnownBrowser, Some(ends_at));
        self.encode(&Claims { jti: id, epoch, ..claims })
    }

    /// Ends a family of tokens.
    pub fn end_family(&self, family: Uuid) {
        self.ended.insert(family, ());
    }

    /// Whether the family of a token has ended.
    pub fn has_ended(&self, claims: &Claims) -> bool {
        claims.family.is_some_and(|family| self.ended.contains_key(&family))
    }

    /// Signs a token with which a user may replace something as long as it is in this state.
    pub fn sign_for_recovery(
        &self,
        user_id: i64,
        purpose: Purpose,
        state: String,
        seconds: i64,
    ) -> Result<String, HubError> {
        let ends_at = Timestamp::now().as_second() + seconds;
        let claims = Claims::new(Subject::Id(user_id), ClientType::User, purpose, Some(ends_at));
        self.encode(&Claims { state: Some(state), ..claims })
    }

    fn encode(&self, claims: &Claims) -> Result<String, HubError> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.signing)
            .map_err(|error| HubError::Internal(error.to_string()))
    }

    /// Checks signature, times and purpose of a token. The library checks the signature; its check of claims cannot
    /// read a `sub` that is an object, as container tokens have.
    pub fn check(&self, token: &str, purpose: Purpose) -> Result<Claims, HubError> {
        const INVALID: HubError = HubError::Unauthenticated("The token is not valid");
        let (message, signature) = token.rsplit_once('.').ok_or(INVALID)?;
        let (_, payload) = message.split_once('.').ok_or(INVALID)?;
        // One algorithm, whatever the token says.
        if jsonwebtoken::decode_header(token).map_err(|_| INVALID)?.alg != Algorithm::HS256
            || !verify(signature, message.as_bytes(), &self.checking, Algorithm::HS256).unwrap_or(false)
        {
            return Err(INVALID);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| INVALID)?;
        let claims: Claims = brief::from_slice(&payload).map_err(|_| INVALID)?;
        let now = Timestamp::now().as_second();
        if claims.exp.is_some_and(|exp| exp < now - LEEWAY) {
            return Err(HubError::Unauthenticated("Token has expired"));
        }
        if claims.nbf > now + LEEWAY {
            return Err(INVALID);
        }
        // Without this a container token with a removed `exp` would pass for a user's.
        if claims.exp.is_none() && claims.client_type != ClientType::Container {
            return Err(INVALID);
        }
        match claims.purpose == purpose {
            true => Ok(claims),
            false if purpose == Purpose::Access => Err(HubError::Unauthenticated("Only access tokens are allowed")),
            false if purpose == Purpose::Refresh => Err(HubError::Unauthenticated("Only refresh tokens are allowed")),
            false => Err(INVALID),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_purpose_and_its_secret_only() {
        let tokens = Tokens::new(&[1; 32]);
        let owner =
            || Owner { id: 7, client_type: ClientType::User, roles: vec!["Root".into()], epoch: 1, station: None };
        let issued = tokens.issue(owner(), None).unwrap();
        let token = issued.access.clone();
        // What replaces a refresh token is of its family and ends with it.
        let refresh = tokens.check(&issued.refresh, Purpose::Refresh).unwrap();
        let next = tokens.issue(owner(), Some(&refresh)).unwrap();
        assert_eq!((next.family, next.ends_at), (issued.family, issued.ends_at));
        tokens.end_family(issued.family);
        assert!(tokens.has_ended(&refresh) && tokens.has_ended(&tokens.check(&next.access, Purpose::Access).unwrap()));
        assert_eq!(tokens.check(&token, Purpose::Access).unwrap().sub, Subject::Id(7));
        assert!(tokens.check(&token, Purpose::Refresh).is_err());
        assert!(Tokens::new(&[2; 32]).check(&token, Purpose::Access).is_err());
        let subject = ContainerSubject {
            client_type: "container".into(),
            node_id: 1,
            organization_id: 2,
            collaboration_id: 1,
            study_id: None,
            store_id: None,
            task_id: 1,
            image: "i".into(),
            databases: Vec::new(),
        };
        let container = tokens.sign_for_container(subject.clone(), 1).unwrap();
        let subject = Subject::Container(Box::new(subject));
        assert_eq!(tokens.check(&container, Purpose::Access).unwrap().sub, subject);
        // An access token that has ended
        let mut ended = tokens.check(&token, Purpose::Access).unwrap();
        ended.exp = Some(ended.iat - 60);
        let ended = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &ended, &tokens.signing).unwrap();
        assert!(tokens.check(&ended, Purpose::Access).unwrap_err().to_string().contains("expired"));
        // "alg": "none"
        let payload = token.split('.').nth(1).unwrap();
        assert!(tokens.check(&format!("eyJhbGciOiJub25lIn0.{payload}."), Purpose::Access).is_err());
    }
}
