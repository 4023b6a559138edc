//! Creating and changing an organization.

use axum::{
    extract::{Form as Fields, Path, State},
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    pages::{
        error::PageError,
        form::{Errors, Field, Form, Sent, refused},
        state::PageState,
        user::User,
    },
    protocol::client::OrganizationDetails,
    session::{FlashKind, put_flash},
};

pub fn number(id: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::not_found("This organization"))
}

/// The form, for an organization of this id and present name or a new one.
fn form(present: Option<(i64, &str)>, details: &OrganizationDetails) -> Form {
    let id = present.map(|(id, _)| id);
    let line = |name, label, value: &String| Field::line(name, label, value.clone());
    let page = id.map_or_else(|| "/organizations".to_owned(), |id| format!("/organizations/{id}"));
    let mut way = vec![("/organizations".to_owned(), "Organizations".to_owned())];
    way.extend(present.map(|(_, name)| (page.clone(), name.to_owned())));
    Form {
        title: if id.is_some() { "Change this organization".to_owned() } else { "New organization".to_owned() },
        section: "/organizations",
        way,

        lead: "",
        action: id.map_or_else(|| "/organizations/new".to_owned(), |id| format!("/organizations/{id}/edit")),
        submit: if id.is_some() { "Save" } else { "Create the organization" },
        cancel: page,
        fields: vec![
            line("name", "Name", &details.name),
            line("domain", "Domain", &details.domain)
                .help("Of its e-mail and web addresses, such as hospital.example."),
            line("address1", "Address", &details.address1),
            line("address2", "Address, second line", &details.address2),
            line("zipcode", "Postal code", &details.zipcode),
            line("country", "Country", &details.country),
        ],
    }
}

fn details(sent: &Sent) -> OrganizationDetails {
    OrganizationDetails {
        name: sent.text("name"),
        domain: sent.text("domain"),
        address1: sent.text("address1"),
        address2: sent.text("address2"),
        zipcode: sent.text("zipcode"),
        country: sent.text("country"),
    }
}

/// `GET /organizations/new`
pub async fn new(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    if !user.signed_in.permissions.may_create_organizations() {
        return Err(PageError::Forbidden("Your roles do not permit to create organizations.".to_owned()));
    }
    Ok(form(None, &OrganizationDetails::default()).render(&state, user.signed_in, Errors::new()).await)
}

/// `POST /organizations/new`
pub async fn create(
    State(state): State<PageState>,
    user: User,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let details = details(&Sent(fields));
    match user.signed_in.hub.create_organization(&details).await {
        Ok(organization) => {
            user.signed_in.forget_names().await;
            put_flash(&user.session, FlashKind::Success, "The organization is created.").await?;
            Ok(Redirect::to(&format!("/organizations/{}", organization.id)).into_response())
        }
        Err(error) => {
            let form = form(None, &details);
            let errors = refused(error, &form)?;
            Ok(form.render(&state, user.signed_in, errors).await)
        }
    }
}

/// `GET /organizations/{id}/edit`
pub async fn edit(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let details = user.signed_in.hub.organization_details(id).await?;
    let is_own = user.signed_in.user.organization_id == Some(id);
    // Whoever sees another one shares a collaboration with it.
    PageError::unless(user.signed_in.permissions.may_edit_organization(is_own, true))?;
    Ok(form(Some((id, &details.name)), &details).render(&state, user.signed_in, Errors::new()).await)
}

/// `POST /organizations/{id}/edit`
pub async fn save(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let details = details(&Sent(fields));
    match user.signed_in.hub.edit_organization(id, &details).await {
        Ok(()) => {
            user.signed_in.forget_names().await;
            put_flash(&user.session, FlashKind::Success, "The organization is changed.").await?;
            Ok(Redirect::to(&format!("/organizations/{id}")).into_response())
        }
        Err(error) => {
            let present = user.signed_in.hub.organization_details(id).await?;
            let form = form(Some((id, &present.name)), &details);
            let errors = refused(error, &form)?;
            Ok(form.render(&state, user.signed_in, errors).await)
        }
    }
}
