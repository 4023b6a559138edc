//! Creating, changing and deleting a study.

use axum::{
    extract::{Form as Fields, Path, State},
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    pages::{
        error::PageError,
        form::{Errors, Field, Form, Sent, organization_options, refused},
        state::PageState,
        user::User,
    },
    protocol::domain::{Collaboration, Operation},
    session::{FlashKind, SignedIn, put_flash},
};

fn number(id: &str, what: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::not_found(what))
}

fn require(me: &SignedIn, collaboration: &Collaboration, operation: Operation) -> Result<(), PageError> {
    let own = me.user.organization_id;
    let takes_part = collaboration.organizations.iter().any(|member| Some(member.id) == own);
    PageError::unless(me.permissions.may_at_study(operation, takes_part))
}

fn form(collaboration: Collaboration, study_id: Option<i64>, name: &str, chosen: &[i64]) -> Form {
    let page = format!("/collaborations/{}", collaboration.id);
    Form {
        title: if study_id.is_some() { "Change this study".to_owned() } else { "New study".to_owned() },
        section: "/collaborations",
        way: vec![("/collaborations".to_owned(), "Collaborations".to_owned()), (page.clone(), collaboration.name)],

        lead: "",
        action: study_id.map_or_else(|| format!("{page}/studies/new"), |id| format!("/studies/{id}/edit")),
        submit: if study_id.is_some() { "Save" } else { "Create the study" },
        cancel: page,
        fields: vec![
            Field::line("name", "Name", name),
            Field::several(
                "organization_ids",
                "Organizations",
                organization_options(collaboration.organizations, |id| chosen.contains(&id)),
            )
            .help("Tasks of the study reach these members of the collaboration only."),
        ],
    }
}

/// `GET /collaborations/{id}/studies/new`
pub async fn new(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let me = user.signed_in;
    let collaboration = me.hub.collaboration(number(&id, "This collaboration")?).await?;
    require(&me, &collaboration, Operation::Create)?;
    Ok(form(collaboration, None, "", &[]).render(&state, me, Errors::new()).await)
}

/// `POST /collaborations/{id}/studies/new`
pub async fn create(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id, "This collaboration")?;
    let (me, sent) = (user.signed_in, Sent(fields));
    let (name, organizations) = (sent.text("name"), sent.ids("organization_ids"));
    match me.hub.create_study(id, &name, &organizations).await {
        Ok(()) => {
            put_flash(&user.session, FlashKind::Success, "The study is created.").await?;
            Ok(Redirect::to(&format!("/collaborations/{id}")).into_response())
        }
        Err(error) => {
            let form = form(me.hub.collaboration(id).await?, None, &name, &organizations);
            let errors = refused(error, &form)?;
            Ok(form.render(&state, me, errors).await)
        }
    }
}

/// `GET /studies/{id}/edit`
pub async fn edit(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id, "This study")?;
    let me = user.signed_in;
    let study = me.hub.study(id).await?;
    let of = study.collaboration_id.ok_or_else(|| PageError::not_found("Its collaboration"))?;
    let chosen: Vec<i64> = study.organizations.iter().map(|organization| organization.id).collect();
    let collaboration = me.hub.collaboration(of).await?;
    require(&me, &collaboration, Operation::Edit)?;
    Ok(form(collaboration, Some(id), &study.name, &chosen).render(&state, me, Errors::new()).await)
}

/// `POST /studies/{id}/edit`
pub async fn save(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id, "This study")?;
    let (me, sent) = (user.signed_in, Sent(fields));
    let (name, organizations) = (sent.text("name"), sent.ids("organization_ids"));
    let of = me.hub.study(id).await?.collaboration_id.ok_or_else(|| PageError::not_found("Its collaboration"))?;
    match me.hub.edit_study(id, &name, &organizations).await {
        Ok(()) => {
            put_flash(&user.session, FlashKind::Success, "The study is changed.").await?;
            Ok(Redirect::to(&format!("/collaborations/{of}")).into_response())
        }
        Err(error) => {
            let form = form(me.hub.collaboration(of).await?, Some(id), &name, &organizations);
            let errors = refused(error, &form)?;
            Ok(form.render(&state, me, errors).await)
        }
    }
}

/// `POST /studies/{id}/delete`: its tasks stay, without a study.
pub async fn delete(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id, "This study")?;
    let me = user.signed_in;
    let of = me.hub.study(id).await?.collaboration_id;
    me.hub.delete_study(id).await?;
    put_flash(&user.session, FlashKind::Success, "The study is deleted; its tasks stay.").await?;
    Ok(Redirect::to(&of.map_or_else(|| "/collaborations".to_owned(), |id| format!("/collaborations/{id}")))
        .into_response())
}
