use leptos::prelude::*;

use super::TableFrame;
use crate::protocol::domain::{
    Operation::{self, *},
    RuleItem, Scope,
};

const OPERATIONS: [(Operation, &str); 6] =
    [(View, "View"), (Create, "Create"), (Edit, "Edit"), (Delete, "Delete"), (Send, "Send"), (Receive, "Receive")];

fn words(scope: Scope) -> &'static str {
    match scope {
        Scope::Own => "own",
        Scope::Organization => "organization",
        Scope::Collaboration => "collaborations",
        Scope::Global => "everything",
    }
}

/// What rules permit, as a table: a row a kind of thing, a column an operation, in each cell how far it reaches. With
/// checkboxes if it can be changed.
#[component]
pub fn PermissionTable(rules: Vec<RuleItem>, chosen: Vec<i64>, #[prop(default = false)] edits: bool) -> impl IntoView {
    let mut resources: Vec<String> = Vec::new();
    for rule in &rules {
        if !resources.contains(&rule.resource) {
            resources.push(rule.resource.clone());
        }
    }
    view! {
        <p class="help">"How far each reaches: to what is one's own, to what is of the own organization, of the collaborations it takes part in, or to everything. Whoever may edit reviews decides about the organization's data."</p>
        <TableFrame label="Permissions">
            <table class="permissions">
                <thead><tr>
                    <th scope="col">"Of"</th>
                    {OPERATIONS.iter().map(|(_, name)| view! { <th scope="col">{*name}</th> }).collect_view()}
                </tr></thead>
                <tbody>{resources.into_iter().map(|resource| view! {
                    <tr>
                        <th scope="row">{resource.clone()}</th>
                        {OPERATIONS.iter().map(|(operation, name)| {
                            let mut here: Vec<(Scope, i64)> = rules.iter()
                                .filter(|rule| rule.resource == resource)
                                .filter_map(|rule| rule.rule.filter(|(_, known)| known == operation).map(|(scope, _)| (scope, rule.id)))
                                .collect();
                            here.sort();
                            view! { <td>{if edits {
                                here.into_iter().map(|(scope, id)| view! {
                                    <label class="flag">
                                        <input type="checkbox" name="rules" value=id checked=chosen.contains(&id) aria-label=format!("{name} {resource}: {}", words(scope))/>
                                        " " {words(scope)}
                                    </label>
                                }).collect_view().into_any()
                            } else {
                                let widest = here.into_iter().rev().find(|(_, id)| chosen.contains(id));
                                match widest {
                                    Some((scope, _)) => view! { <span>{words(scope)}</span> }.into_any(),
                                    None => view! { <span class="muted">"–"</span> }.into_any(),
                                }
                            }}</td> }
                        }).collect_view()}
                    </tr>
                }).collect_view()}</tbody>
            </table>
        </TableFrame>
    }
}
