use leptos::prelude::*;

use super::room::Room;

use crate::protocol::{
    domain::Node,
    policy::{ModeRule, Modes, Policies, ReleaseMode, ReviewMode},
};

/// What a node allows and how, as far as it tells.
#[component]
pub fn NodePolicies(node: Node) -> impl IntoView {
    if !node.online {
        return view! { <p class="muted">"Its policies are known while it is online."</p> }.into_any();
    }
    if !node.shares_config {
        return view! { <p class="muted">"It does not share its policies."</p> }.into_any();
    }
    let unclear = node.policies.is_unclear;
    let mut room = Room::new();
    view! {
        <dl class="policies">
            {words(&node.policies).into_iter().map(|(name, values)| view! {
                <div><dt>{name}</dt><dd><ul class="plain">{room.policies(&values).into_iter().map(|value| view! { <li>{value}</li> }).collect_view()}</ul></dd></div>
            }).collect_view()}
        </dl>
        {unclear.then(|| view! { <p class="reason">"It has policies that are not understood here."</p> })}
    }
    .into_any()
}

/// Each policy by its name on screen.
fn words(policies: &Policies) -> Vec<(&'static str, Vec<String>)> {
    let or_nobody = |list: &Vec<String>| if list.is_empty() { vec!["nobody".to_owned()] } else { list.clone() };
    let mut words = vec![("Images", policies.allowed_algorithms.clone().unwrap_or_else(|| vec!["all".to_owned()]))];
    words.extend(policies.allowed_algorithm_stores.as_ref().map(|stores| ("Algorithm stores", stores.clone())));
    words.extend(policies.allowed_users.as_ref().map(|users| ("Users", or_nobody(users))));
    words.extend(policies.allowed_organizations.as_ref().map(|list| ("Organizations", or_nobody(list))));
    words.extend(policies.allowed_functions.as_ref().map(|rules| {
        let rule = |rule: &crate::protocol::policy::FunctionRule| {
            let image = rule.image.as_ref().map_or(String::new(), |image| format!(" of {image}"));
            format!("{}{image}", rule.functions.join(", "))
        };
        ("Functions", rules.iter().map(rule).collect())
    }));
    words.extend(policies.allowed_databases.as_ref().map(|rules| {
        let rule = |rule: &crate::protocol::policy::DatabaseRule| {
            let columns = rule.columns.as_ref().map_or_else(|| "all columns".to_owned(), |columns| columns.join(", "));
            format!("{}: {columns}{}", rule.database, whom(&rule.users, &rule.organizations))
        };
        ("Databases", rules.iter().map(rule).collect())
    }));
    let limits: Vec<String> =
        policies.limits().named().into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    if !limits.is_empty() {
        words.push(("Disclosure limits", limits));
    }
    let weaker = policies.limits().weaker();
    if !weaker.is_empty() {
        words.push(("Weaker than usual", weaker));
    }
    if !policies.allowed_identifiers.is_empty() {
        words.push(("Identifiers that may be used", policies.allowed_identifiers.clone()));
    }
    words.extend(policies.runs_per_user_per_day.map(|runs| ("Runs of one user a day", vec![runs.to_string()])));
    words.push((
        "Review before a run",
        modes(&policies.review, |mode| match mode {
            ReviewMode::Never => "never",
            ReviewMode::FirstTime => "the first time",
            ReviewMode::Always => "always",
        }),
    ));
    words.push((
        "Review before a result leaves",
        modes(&policies.release, |mode| match mode {
            ReleaseMode::Never => "never",
            ReleaseMode::Review => "always",
        }),
    ));
    if policies.review != Modes::One(ReviewMode::Never) || policies.release != Modes::One(ReleaseMode::Never) {
        words.push(("Refused if nobody decides within", vec![format!("{} days", policies.review_expires_after_days)]));
        if !policies.decisions_from_hub {
            words.push(("Decisions are taken", vec!["at the node only".to_owned()]));
        }
    }
    words
}

fn whom(users: &Option<Vec<String>>, organizations: &Option<Vec<String>>) -> String {
    let list = |name: &str, list: &Option<Vec<String>>| {
        list.as_ref().filter(|list| !list.is_empty()).map(|list| format!("{name} {}", list.join(", ")))
    };
    let parts: Vec<String> =
        [list("users", users), list("organizations", organizations)].into_iter().flatten().collect();
    match (parts.is_empty(), users.is_none() && organizations.is_none()) {
        (true, true) => String::new(),
        (true, false) => " for nobody".to_owned(),
        (false, _) => format!(" for {}", parts.join(" and ")),
    }
}

fn modes<M: Copy>(modes: &Modes<M>, name: impl Fn(M) -> &'static str) -> Vec<String> {
    let rule = |rule: &ModeRule<M>| {
        let function = rule.function.as_ref().map_or(String::new(), |function| format!(" {function}"));
        let image = rule.image.as_ref().map_or(String::new(), |image| format!(" of {image}"));
        let of =
            if function.is_empty() && image.is_empty() { " everything else".to_owned() } else { function + &image };
        format!("{}:{of}{}", name(rule.mode), whom(&rule.users, &rule.organizations))
    };
    match modes {
        Modes::One(mode) => vec![name(*mode).to_owned()],
        Modes::Rules(rules) => rules.iter().map(rule).collect(),
    }
}
