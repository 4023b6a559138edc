use axum::{
    extract::{Form as Fields, Path, State},
    response::Response,
};
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    pages::{
        components::{Breadcrumbs, TableFrame},
        error::PageError,
        form::Sent,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::domain::Operation,
    session::SignedIn,
};

/// A node with the API key that is shown this once.
#[derive(Clone)]
pub struct NewKey {
    pub node: String,
    pub organization: String,
    pub key: SecretString,
}

/// `POST /collaborations/{id}/nodes`: registers the nodes that are missing, or that of one organization. Answers with
/// their keys: they are not kept anywhere, so there is no page to go to.
pub async fn missing(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This collaboration"))?;
    let me = user.signed_in;
    let only = Sent(fields).ids("organization_id");
    let (collaboration, nodes) = futures::try_join!(me.hub.collaboration(id), me.hub.nodes_of(id))?;
    PageError::unless(collaboration.organizations.iter().any(|organization| {
        let is_own = me.user.organization_id == Some(organization.id);
        me.permissions.may_get_key(Operation::Create, is_own)
    }))?;
    let has_node = |organization_id| nodes.iter().any(|node| node.organization_id == Some(organization_id));
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for organization in &collaboration.organizations {
        let is_own = me.user.organization_id == Some(organization.id);
        let may = me.permissions.may_get_key(Operation::Create, is_own);
        if has_node(organization.id) || !may || !(only.is_empty() || only.contains(&organization.id)) {
            continue;
        }
        match me.hub.create_node(organization.id, id).await {
            Ok((node, key)) => keys.push(NewKey { node: node.name, organization: organization.name.clone(), key }),
            Err(error) if error.is_temporary() && keys.is_empty() => return Err(error.into()),
            // The keys that there are must not get lost.
            Err(error) => problems.push(format!("{}: {error}", organization.name)),
        }
    }
    let way = vec![
        ("/collaborations".to_owned(), "Collaborations".to_owned()),
        (format!("/collaborations/{id}"), collaboration.name),
    ];
    Ok(keys_page(&state, me, way, keys, problems).await)
}

/// The page that shows keys, once.
pub async fn keys_page(
    state: &PageState,
    me: SignedIn,
    way: Vec<(String, String)>,
    keys: Vec<NewKey>,
    problems: Vec<String>,
) -> Response {
    let back = way.last().map(|(address, _)| address.clone()).unwrap_or_default();
    let view = move || {
        let (way, keys, problems, back) = (way.clone(), keys.clone(), problems.clone(), back.clone());
        let (none, one) = (keys.is_empty(), keys.len() == 1);
        view! {
            <Breadcrumbs way/>
            <h1>{if one { "API key of the node" } else { "API keys of the nodes" }}</h1>
            {problems.into_iter().map(|problem| view! { <p class="flash error" role="alert">{problem}</p> }).collect_view()}
            {if none {
                view! { <p class="empty">"No node was missing that you may register."</p> }.into_any()
            } else {
                view! {
                    <p class="notice">{if one { "Copy it now: it is shown this once and stored nowhere. Whoever has it" } else { "Copy them now: they are shown this once and stored nowhere. Whoever has one" }} " can act as the node. It belongs into the node's configuration, as "<code>"api_key"</code>"."</p>
                    <TableFrame label="API keys">
                        <table class="stacked">
                            <thead><tr><th scope="col">"Node"</th><th scope="col">"Organization"</th><th scope="col">"API key"</th></tr></thead>
                            <tbody>{keys.into_iter().map(|new| view! {
                                <tr>
                                    <th scope="row">{new.node}</th>
                                    <td data-label="Organization">{new.organization}</td>
                                    <td data-label="API key"><code class="api-key">{new.key.expose_secret().to_owned()}</code></td>
                                </tr>
                            }).collect_view()}</tbody>
                        </table>
                    </TableFrame>
                }.into_any()
            }}
            <p class="actions"><a class="button primary" href=back>"Done"</a></p>
        }
    };
    Page::new("API keys").user(me).section("/collaborations").render(state, view).await
}
