use jiff::Timestamp;
use leptos::prelude::*;

use super::{Time, room::Room};
use crate::protocol::domain::Node;

/// Whether a node is online, and since when not.
#[component]
pub fn NodeState(node: Option<Node>) -> impl IntoView {
    match node {
        None => view! { <span class="badge muted">"no node"</span> }.into_any(),
        Some(node) if node.online => view! { <span class="badge good">"online"</span> }.into_any(),
        Some(node) => view! {
            <span class="badge bad">"offline"</span>
            <span class="aside">"last seen " <Time value=node.last_seen missing="never"/></span>
        }
        .into_any(),
    }
}

/// That another program came with the key of a node, if one did.
#[component]
pub fn SecondProgram(at: Option<Timestamp>) -> impl IntoView {
    at.map(|at| {
        view! {
            <p class="reason">
                "A second program came with the key of this node, last at " <Time value=Some(at)/>
                ". It was refused, since two would compute every run twice. If nobody of yours started it, replace the key."
            </p>
        }
    })
}

/// Databases of a node with their types and columns.
#[component]
pub fn DatabaseList(node: Node) -> impl IntoView {
    let Node { databases, online, left_out, .. } = node;
    if databases.is_empty() {
        let reason = if online { "The node does not share its databases." } else { "Known while the node is online." };
        return view! { <p class="muted">{reason}</p> }.into_any();
    }
    let mut room = Room::new();
    view! {
        <ul class="databases">
            {databases.into_iter().map(|database| {
                let (label, kind) = (room.name(&database.label), room.name(&database.kind));
                let columns = database.columns.map(|columns| room.names(&columns));
                let more = (database.more_columns > 0)
                    .then(|| format!(" and {} more, whose names are too many or too long to be told", database.more_columns));
                view! {
                    <li>
                        <strong>{label}</strong> " " <span class="tag">{kind}</span>
                        <span class="columns">{columns.unwrap_or_else(|| "columns not shared".to_owned())} {more}</span>
                    </li>
                }
            }).collect_view()}
        </ul>
        {(left_out > 0).then(|| view! {
            <p class="reason">{format!("The node tells more of itself than is kept: {left_out} facts are left out.")}</p>
        })}
    }
    .into_any()
}
