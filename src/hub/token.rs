//! JSON web tokens with the claims of vantage6 4.x, signed with HMAC-SHA256 and no other algorithm.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto::verify};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::HubError;

/// Lifetime of an access token in seconds.
pub const ACCESS_SECONDS: i64 = 6 * 3600;
/// Lifetime of a refresh token in seconds.
pub const REFRESH_SECONDS: i64 = 48 * 3600;

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
    pub iat: i64,
    pub nbf: i64,
    /// Seconds since 1970. Container tokens have none: they end with their task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// For recovery: a digest of what is replaced. When it has changed, the token has been used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// Seconds by which clocks may differ.
const LEEWAY: i64 = 5;

/// Signs and checks tokens.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
}

impl Tokens {
    /// With a secret of at least 32 bytes from the operating system's random source.
    pub fn new(secret: &[u8]) -> Self {
        Tokens { signing: EncodingKey::from_secret(secret), checking: DecodingKey::from_secret(secret) }
    }

    /// Signs a token.
    pub fn sign(
        &self,
        sub: Subject,
        client_type: ClientType,
        purpose: Purpose,
        roles: Vec<String>,
    ) -> Result<String, HubError> {
        let lifetime = match (client_type, purpose) {
            (ClientType::Container, _) => None,
            (_, Purpose::Refresh) => Some(REFRESH_SECONDS),
            _ => Some(ACCESS_SECONDS),
        };
        self.sign_claims(sub, client_type, purpose, roles, lifetime, None)
    }

    /// Signs a token with which a user may replace something as long as it is in this state.
    pub fn sign_for_recovery(
        &self,
        user_id: i64,
        purpose: Purpose,
        state: String,
        seconds: i64,
    ) -> Result<String, HubError> {
        let subject = Subject::Id(user_id);
        self.sign_claims(subject, ClientType::User, purpose, Vec::new(), Some(seconds), Some(state))
    }

    fn sign_claims(
        &self,
        sub: Subject,
        client_type: ClientType,
        purpose: Purpose,
        roles: Vec<String>,
        lifetime: Option<i64>,
        state: Option<String>,
    ) -> Result<String, HubError> {
        let now = Timestamp::now().as_second();
        let claims = Claims {
            sub,
            purpose,
            client_type,
            roles,
            fresh: false,
            jti: Uuid::new_v4(),
            iat: now,
            nbf: now,
            exp: lifetime.map(|seconds| now + seconds),
            state,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
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
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| INVALID)?;
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
        let token = tokens.sign(Subject::Id(7), ClientType::User, Purpose::Access, vec!["Root".into()]).unwrap();
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
        let subject = Subject::Container(Box::new(subject));
        let container = tokens.sign(subject.clone(), ClientType::Container, Purpose::Access, vec![]).unwrap();
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
