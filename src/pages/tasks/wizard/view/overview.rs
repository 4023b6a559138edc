use leptos::prelude::*;

use super::StepPage;
use crate::{
    islands::CopyButton,
    pages::{
        components::TableFrame,
        tasks::wizard::{
            preflight::{self, Acceptance},
            python,
            spec::task_spec,
            step::{Step, address},
        },
    },
};

pub fn view(page: &StepPage) -> impl IntoView + use<> {
    let (draft, data) = (&page.draft, &page.data);
    let Some(spec) = task_spec(draft, data) else { return ().into_any() };
    let Some(function) = data.function(draft) else { return ().into_any() };
    let name = |id: &i64| data.organization_name(draft, *id);
    let names = |ids: &[i64]| ids.iter().map(name).collect::<Vec<_>>().join(", ");
    let places = match function.central {
        true if function.include_argument().is_some() => {
            format!("Aggregate at {}; include data from {}", names(&spec.organizations), names(&draft.include))
        }
        true => format!("Aggregate at {}", names(&spec.organizations)),
        false => names(&spec.organizations),
    };
    let include = function.include_argument().map(|argument| argument.name.clone());
    let positional = spec.call.args.iter().map(ToString::to_string);
    let keyword = spec.call.kwargs.iter().filter(|(key, _)| Some(*key) != include.as_ref()).map(|(key, value)| {
        let described = function.arguments.iter().find(|argument| argument.name == *key);
        let name = described.map_or(key, |argument| &argument.display_name);
        format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    });
    let arguments: Vec<String> = positional.chain(keyword).collect();
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let mut collaboration = data.collaboration(draft).map(|found| found.name.clone()).unwrap_or_default();
    if let Some(study) = draft.study_id {
        collaboration.push_str(&format!(", study {study}"));
    }
    let answers = [
        (Step::Collaboration, collaboration),
        (
            Step::Function,
            match function.is_other {
                true => format!("{} of {}", function.name, spec.image),
                false => format!("{} ({} of {})", function.display_name, function.name, spec.image),
            },
        ),
        (Step::Organizations, places),
        (Step::Database, or_none(spec.databases.join(", "))),
        (Step::Arguments, or_none(arguments.join(", "))),
        (
            Step::Name,
            match spec.description.as_str() {
                "" => spec.name.clone(),
                description => format!("{}: {description}", spec.name),
            },
        ),
    ];
    let answers = answers.into_iter().map(|(step, answer)| {
        let error = page.error(step.key());
        view! {
            <div>
                <dt>{step.title()}</dt>
                <dd>
                    <span class="answer">{answer}</span>
                    <a href=address(&draft.id, step)>"Change"<span class="visually-hidden">{format!(" {}", step.title().to_lowercase())}</span></a>
                    {error.map(|error| view! { <p class="field-error">{error}</p> })}
                </dd>
            </div>
        }
    });
    let answers = answers.collect_view();
    let preflights = preflight::look(draft, data, &page.user);
    let offline = preflights.iter().filter(|preflight| !preflight.online).count();
    let code = python::create_call(&spec);
    view! {
        <dl class="facts overview">{answers}</dl>
        <h3>"Will it run?"</h3>
        <TableFrame label="Table of nodes">
            <table class="stacked">
                <thead>
                    <tr><th scope="col">"Organization"</th><th scope="col">"Part"</th><th scope="col">"Node"</th><th scope="col">"Would accept"</th></tr>
                </thead>
                <tbody>
                    {preflights.into_iter().map(|preflight| {
                        let (class, word) = if preflight.online { ("badge good", "online") } else { ("badge bad", "offline") };
                        view! {
                            <tr>
                                <th scope="row">{preflight.organization}</th>
                                <td data-label="Part">{preflight.role}</td>
                                <td data-label="Node"><span class=class>{word}</span></td>
                                <td data-label="Would accept">
                                    {match preflight.accepts {
                                        Acceptance::Yes => "yes".to_owned(),
                                        Acceptance::No(reason) => format!("no: {reason}"),
                                        Acceptance::Unknown(reason) => format!("unknown: {reason}"),
                                    }}
                                    {preflight.notes.into_iter().map(|note| view! { <p class="note">{note}</p> }).collect_view()}
                                </td>
                            </tr>
                        }
                    }).collect_view()}
                </tbody>
            </table>
        </TableFrame>
        {(offline > 0).then(|| view! { <p class="reason">"You can create the task all the same: what is meant for a node that is offline waits until it is back."</p> })}
        <h3>"The same with the Python client"</h3>
        <div class="code-block">
            <pre tabindex="0"><code id="copy-source">{code}</code></pre>
            <CopyButton/>
        </div>
    }
    .into_any()
}
