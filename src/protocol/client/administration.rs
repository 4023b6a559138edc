//! Organizations, collaborations, studies, nodes, users and roles: what their admins may do with them.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ClientError, HubClient, Listed,
    calls::{LIST_LIMIT, pair},
    tasks::escape_like,
};
use crate::protocol::{
    domain::{Account, Node, Organization, Role, RuleItem, Run, Study, User},
    wire::v4,
};

/// What is known of an organization, for creating and changing it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrganizationDetails {
    pub name: String,
    pub domain: String,
    pub address1: String,
    pub address2: String,
    pub zipcode: String,
    pub country: String,
}

/// What somebody needs who is to choose their first password.
#[derive(Debug, Clone, Deserialize)]
pub struct Invitation {
    pub code: SecretString,
    /// Whether the hub has mailed it.
    #[serde(default)]
    pub mailed: bool,
}

/// What is known of a user, for creating and changing them. What is `None` is left as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UserDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firstname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<i64>>,
    /// Our hub only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

impl HubClient {
    /// An organization as its form shows it.
    pub async fn organization_details(&self, id: i64) -> Result<OrganizationDetails, ClientError> {
        let wire: v4::Organization = self.get(&format!("organization/{id}"), &[]).await?;
        let text = Option::unwrap_or_default;
        Ok(OrganizationDetails {
            name: wire.name,
            domain: text(wire.domain),
            address1: text(wire.address1),
            address2: text(wire.address2),
            zipcode: text(wire.zipcode),
            country: text(wire.country),
        })
    }

    pub async fn create_organization(&self, details: &OrganizationDetails) -> Result<Organization, ClientError> {
        Ok(self.post::<v4::Organization>("organization", details).await?.into())
    }

    pub async fn edit_organization(&self, id: i64, details: &OrganizationDetails) -> Result<(), ClientError> {
        self.patch(&format!("organization/{id}"), details).await
    }

    /// The id of the new collaboration.
    pub async fn create_collaboration(
        &self,
        name: &str,
        encrypted: bool,
        organizations: &[i64],
    ) -> Result<i64, ClientError> {
        let body = json!({"name": name, "encrypted": encrypted, "organization_ids": organizations});
        Ok(self.post::<v4::Collaboration>("collaboration", &body).await?.id)
    }

    /// Its members stay as they are without `organizations`.
    pub async fn edit_collaboration(
        &self,
        id: i64,
        name: &str,
        encrypted: bool,
        organizations: Option<&[i64]>,
    ) -> Result<(), ClientError> {
        let mut body = json!({"name": name, "encrypted": encrypted});
        if let Some(organizations) = organizations {
            body["organization_ids"] = json!(organizations);
        }
        self.patch(&format!("collaboration/{id}"), &body).await
    }

    /// Deletes an organization with its users, roles, nodes and tasks, and with its runs of others' tasks.
    pub async fn delete_organization(&self, id: i64) -> Result<(), ClientError> {
        self.delete_with_dependents(&format!("organization/{id}")).await
    }

    /// How many runs an organization has, as far as they may be seen.
    pub async fn count_runs_at(&self, organization_id: i64) -> Result<usize, ClientError> {
        let query = vec![pair("organization_id", organization_id), pair("page", 1), pair("per_page", 1)];
        Ok(self.page::<v4::Run, Run>("run", query).await?.total)
    }

    /// Deletes a collaboration with its tasks, studies and nodes.
    pub async fn delete_collaboration(&self, id: i64) -> Result<(), ClientError> {
        self.delete_with_dependents(&format!("collaboration/{id}")).await
    }

    /// The studies of a collaboration with their organizations.
    pub async fn studies_of(&self, collaboration_id: i64) -> Result<Vec<Study>, ClientError> {
        let query = vec![pair("collaboration_id", collaboration_id), pair("include", "organizations")];
        self.all::<v4::Study, Study>("study", query).await
    }

    pub async fn study(&self, id: i64) -> Result<Study, ClientError> {
        Ok(self.get::<v4::Study>(&format!("study/{id}"), &[pair("include", "organizations")]).await?.into())
    }

    pub async fn create_study(
        &self,
        collaboration_id: i64,
        name: &str,
        organizations: &[i64],
    ) -> Result<(), ClientError> {
        let body = json!({"name": name, "collaboration_id": collaboration_id, "organization_ids": organizations});
        self.post::<Value>("study", &body).await.map(drop)
    }

    pub async fn edit_study(&self, id: i64, name: &str, organizations: &[i64]) -> Result<(), ClientError> {
        self.patch(&format!("study/{id}"), &json!({"name": name, "organization_ids": organizations})).await
    }

    pub async fn delete_study(&self, id: i64) -> Result<(), ClientError> {
        self.delete(&format!("study/{id}")).await
    }

    /// Registers a node; with its API key, which the server tells only now.
    pub async fn create_node(
        &self,
        organization_id: i64,
        collaboration_id: i64,
    ) -> Result<(Node, SecretString), ClientError> {
        let body = json!({"organization_id": organization_id, "collaboration_id": collaboration_id});
        let mut wire: v4::Node = self.post("node", &body).await?;
        let key = wire.api_key.take().ok_or_else(|| ClientError::Unreadable("no API key".to_owned()))?;
        Ok((wire.into(), key.into()))
    }

    pub async fn rename_node(&self, id: i64, name: &str) -> Result<(), ClientError> {
        self.patch(&format!("node/{id}"), &json!({"name": name})).await
    }

    /// A new API key for a node; the old one is worth nothing from now on.
    pub async fn new_api_key(&self, id: i64) -> Result<SecretString, ClientError> {
        #[derive(Deserialize)]
        struct Key {
            api_key: SecretString,
        }
        Ok(self.post::<Key>("recover/node", &json!({"id": id})).await?.api_key)
    }

    pub async fn delete_node(&self, id: i64) -> Result<(), ClientError> {
        self.delete(&format!("node/{id}")).await
    }

    /// A page of the users that may be seen, by username, with what their admins see of them. What is searched is a part
    /// of a name or of the e-mail address, or the id.
    pub async fn accounts(&self, search: &str, page: usize, per_page: usize) -> Result<Listed<Account>, ClientError> {
        let search = search.trim().to_lowercase();
        if self.transport().server().await?.has_own_account {
            let mut query = vec![pair("page", page), pair("per_page", per_page), pair("sort", "username")];
            query.extend((!search.is_empty()).then(|| pair("search", &search)));
            return self.page::<v4::User, Account>("user", query).await;
        }
        // A server of vantage6 neither sorts them nor searches all of this.
        let mut accounts = self.all::<v4::User, Account>("user", vec![]).await?;
        let is_partial = accounts.len() >= LIST_LIMIT;
        accounts.retain(|account| account.matches(&search));
        accounts.sort_by_key(|account| account.username.to_lowercase());
        let total = accounts.len();
        let start = page.saturating_sub(1).saturating_mul(per_page);
        Ok(Listed { items: accounts.into_iter().skip(start).take(per_page).collect(), total, is_partial })
    }

    /// How many users an organization has.
    pub async fn count_users_of(&self, organization_id: i64) -> Result<usize, ClientError> {
        let query = vec![pair("organization_id", organization_id), pair("per_page", 1)];
        Ok(self.page::<v4::User, Account>("user", query).await?.total)
    }

    /// The user with this username, if they may be seen.
    pub async fn user_named(&self, username: &str) -> Result<Option<User>, ClientError> {
        let found = self.page::<v4::User, User>("user", vec![pair("username", escape_like(username))]).await?;
        Ok(found.items.into_iter().find(|user| user.username == username))
    }

    /// One user with their roles and rules.
    pub async fn account(&self, id: i64) -> Result<Account, ClientError> {
        Ok(self.get::<v4::User>(&format!("user/{id}"), &[pair("include_permissions", 1)]).await?.into())
    }

    /// The id of the new user.
    pub async fn create_user(&self, details: &UserDetails, password: &SecretString) -> Result<i64, ClientError> {
        let mut body = serde_json::to_value(details).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        body["password"] = json!(password.expose_secret());
        Ok(self.post::<v4::User>("user", &body).await?.id)
    }

    pub async fn edit_user(&self, id: i64, details: &UserDetails) -> Result<(), ClientError> {
        self.patch(&format!("user/{id}"), details).await
    }

    /// A code with which somebody who never signed in sets their first password; our hub only.
    pub async fn invite_user(&self, id: i64) -> Result<Invitation, ClientError> {
        self.post(&format!("user/{id}/invitation"), &json!({})).await
    }

    /// Ends all sessions of somebody else; our hub only.
    pub async fn end_sessions_of(&self, id: i64) -> Result<(), ClientError> {
        self.post::<Value>(&format!("user/{id}/end-sessions"), &json!({})).await.map(drop)
    }

    /// Lets somebody else set up a new second factor; our hub only.
    pub async fn reset_second_factor_of(&self, id: i64) -> Result<(), ClientError> {
        self.post::<Value>(&format!("user/{id}/reset-second-factor"), &json!({})).await.map(drop)
    }

    pub async fn delete_user(&self, id: i64) -> Result<(), ClientError> {
        self.delete_with_dependents(&format!("user/{id}")).await
    }

    /// All roles that may be seen.
    pub async fn roles(&self) -> Result<Vec<Role>, ClientError> {
        self.all::<v4::Role, Role>("role", vec![]).await
    }

    pub async fn role(&self, id: i64) -> Result<Role, ClientError> {
        Ok(self.get::<v4::Role>(&format!("role/{id}"), &[]).await?.into())
    }

    /// How many users have a role, as far as they may be seen.
    pub async fn count_users_with_role(&self, id: i64) -> Result<usize, ClientError> {
        let query = vec![pair("role_id", id), pair("page", 1), pair("per_page", 1)];
        Ok(self.page::<v4::User, Account>("user", query).await?.total)
    }

    /// The rules of a role.
    pub async fn rules_of_role(&self, id: i64) -> Result<Vec<RuleItem>, ClientError> {
        self.rules_by(pair("role_id", id)).await
    }

    /// The rules of a user with their ids, by roles and by themselves.
    pub async fn rule_items_of_user(&self, id: i64) -> Result<Vec<RuleItem>, ClientError> {
        self.rules_by(pair("user_id", id)).await
    }

    /// Every rule that the server knows.
    pub async fn rules(&self) -> Result<Vec<RuleItem>, ClientError> {
        self.all::<v4::Rule, RuleItem>("rule", vec![]).await
    }

    async fn rules_by(&self, by: (String, String)) -> Result<Vec<RuleItem>, ClientError> {
        self.all::<v4::Rule, RuleItem>("rule", vec![by]).await
    }

    /// The id of the new role.
    pub async fn create_role(
        &self,
        name: &str,
        description: &str,
        organization_id: Option<i64>,
        rules: &[i64],
    ) -> Result<i64, ClientError> {
        let mut body = json!({"name": name, "description": description, "rules": rules});
        if let Some(id) = organization_id {
            body["organization_id"] = json!(id);
        }
        Ok(self.post::<v4::Role>("role", &body).await?.id)
    }

    pub async fn edit_role(&self, id: i64, name: &str, description: &str, rules: &[i64]) -> Result<(), ClientError> {
        self.patch(&format!("role/{id}"), &json!({"name": name, "description": description, "rules": rules})).await
    }

    pub async fn delete_role(&self, id: i64) -> Result<(), ClientError> {
        self.delete_with_dependents(&format!("role/{id}")).await
    }
}
