//! Creating, changing and deleting a collaboration.

use axum::{
    extract::{Form as Fields, Path, State},
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    pages::{
        confirm::{Question, counted},
        error::PageError,
        form::{Errors, Field, Form, Sent, organization_options, refused},
        state::PageState,
        user::User,
    },
    protocol::{
        client::{ClientError, TaskQuery},
        domain::{Operation, Organization},
    },
    session::{FlashKind, SignedIn, put_flash},
};

fn number(id: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::not_found("This collaboration"))
}

/// What was typed, or what there is.
struct Details {
    name: String,
    encrypted: bool,
    organizations: Vec<i64>,
}

impl Details {
    fn of(sent: &Sent) -> Details {
        Details {
            name: sent.text("name"),
            encrypted: sent.flag("encrypted"),
            organizations: sent.ids("organization_ids"),
        }
    }
}

fn takes_part(me: &SignedIn, members: &[i64]) -> bool {
    me.user.organization_id.is_some_and(|own| members.contains(&own))
}

/// `organizations`: what can be chosen as members; none where they cannot be changed.
fn form(id: Option<i64>, details: &Details, organizations: Vec<Organization>) -> Form {
    let page = id.map_or_else(|| "/collaborations".to_owned(), |id| format!("/collaborations/{id}"));
    let mut way = vec![("/collaborations".to_owned(), "Collaborations".to_owned())];
    way.extend(id.map(|_| (page.clone(), details.name.clone())));
    let members = organization_options(organizations, |id| details.organizations.contains(&id));
    let mut fields = vec![
        Field::line("name", "Name", details.name.clone()),
        Field::flag("encrypted", "Encrypted", details.encrypted).help(
            "Inputs and results are encrypted for their organizations. Atoll's own portal and nodes do not support that \
             yet: nothing of theirs runs in an encrypted collaboration.",
        ),
    ];
    if !members.is_empty() {
        let members = Field::several("organization_ids", "Members", members);
        fields.push(members.help("An organization that leaves takes its node along; its part of tasks stays."));
    }
    Form {
        title: if id.is_some() { "Change this collaboration".to_owned() } else { "New collaboration".to_owned() },
        section: "/collaborations",
        way,

        lead: "",
        action: id.map_or_else(|| "/collaborations/new".to_owned(), |id| format!("/collaborations/{id}/edit")),
        submit: if id.is_some() { "Save" } else { "Create the collaboration" },
        cancel: page,
        fields,
    }
}

/// The organizations that can be made members: only by those who may do so everywhere, since rights within a
/// collaboration reach to its organizations.
async fn choosable(me: &SignedIn) -> Result<Vec<Organization>, ClientError> {
    if me.permissions.may_create_collaborations() { me.hub.organizations().await } else { Ok(Vec::new()) }
}

/// `GET /collaborations/new`
pub async fn new(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let me = user.signed_in;
    if !me.permissions.may_create_collaborations() {
        return Err(PageError::Forbidden("Your roles do not permit to create collaborations.".to_owned()));
    }
    let organizations = me.hub.organizations().await?;
    let details = Details { name: String::new(), encrypted: false, organizations: Vec::new() };
    Ok(form(None, &details, organizations).render(&state, me, Errors::new()).await)
}

/// `POST /collaborations/new`
pub async fn create(
    State(state): State<PageState>,
    user: User,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    let details = Details::of(&Sent(fields));
    match me.hub.create_collaboration(&details.name, details.encrypted, &details.organizations).await {
        Ok(id) => {
            me.forget_names().await;
            let next = "The collaboration is created. Register the nodes of its members now.";
            put_flash(&user.session, FlashKind::Success, next).await?;
            Ok(Redirect::to(&format!("/collaborations/{id}")).into_response())
        }
        Err(error) => {
            let form = form(None, &details, me.hub.organizations().await?);
            let errors = refused(error, &form)?;
            Ok(form.render(&state, me, errors).await)
        }
    }
}

/// `GET /collaborations/{id}/edit`
pub async fn edit(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let (collaboration, organizations) = futures::try_join!(me.hub.collaboration(id), choosable(&me))?;
    let details = Details {
        name: collaboration.name,
        encrypted: collaboration.encrypted,
        organizations: collaboration.organizations.iter().map(|member| member.id).collect(),
    };
    let takes_part = takes_part(&me, &details.organizations);
    PageError::unless(me.permissions.may_at_collaboration(Operation::Edit, takes_part))?;
    Ok(form(Some(id), &details, organizations).render(&state, me, Errors::new()).await)
}

/// `POST /collaborations/{id}/edit`
pub async fn save(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let details = Details::of(&Sent(fields));
    let members = me.permissions.may_create_collaborations().then_some(details.organizations.as_slice());
    match me.hub.edit_collaboration(id, &details.name, details.encrypted, members).await {
        Ok(()) => {
            me.forget_names().await;
            put_flash(&user.session, FlashKind::Success, "The collaboration is changed.").await?;
            Ok(Redirect::to(&format!("/collaborations/{id}")).into_response())
        }
        Err(error) => {
            let form = form(Some(id), &details, choosable(&me).await?);
            let errors = refused(error, &form)?;
            Ok(form.render(&state, me, errors).await)
        }
    }
}

/// `GET /collaborations/{id}/delete`
pub async fn confirm_delete(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let one = TaskQuery { collaboration_id: Some(id), per_page: 1, page: 1, ..Default::default() };
    let (collaboration, nodes, tasks, studies) =
        futures::try_join!(me.hub.collaboration(id), me.hub.nodes_of(id), me.hub.tasks(&one), me.hub.studies_of(id))?;
    let members: Vec<i64> = collaboration.organizations.iter().map(|member| member.id).collect();
    PageError::unless(me.permissions.may_at_collaboration(Operation::Delete, takes_part(&me, &members)))?;
    let with_it = [
        counted(tasks.total, "task with its runs and results", "tasks with their runs and results"),
        counted(
            nodes.len(),
            "node: its API key is worth nothing any more",
            "nodes: their API keys are worth nothing any more",
        ),
        counted(studies.len(), "study", "studies"),
    ];
    let page = format!("/collaborations/{id}");
    let question = Question {
        heading: format!("Delete the collaboration {}?", collaboration.name),
        section: "/collaborations",
        way: vec![("/collaborations".to_owned(), "Collaborations".to_owned()), (page.clone(), collaboration.name)],
        text: "Its organizations and users stay. What still runs is stopped. This cannot be undone.",
        with_it: with_it.into_iter().flatten().collect(),
        action: format!("{page}/delete"),
        confirm: "Delete the collaboration",
        back: page,
    };
    Ok(question.render(&state, me).await)
}

/// `POST /collaborations/{id}/delete`
pub async fn delete(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    user.signed_in.hub.delete_collaboration(id).await?;
    user.signed_in.forget_names().await;
    put_flash(&user.session, FlashKind::Success, "The collaboration is deleted.").await?;
    Ok(Redirect::to("/collaborations").into_response())
}
