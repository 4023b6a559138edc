use leptos::prelude::*;

use super::StepPage;
use crate::{
    pages::{
        components::{FieldError, TextArea, TextField},
        tasks::wizard::{data::Store, form::value_of},
    },
    protocol::domain::Partitioning,
    session::FunctionChoice,
};

pub fn view(page: &StepPage) -> impl IntoView + use<> {
    let error = page.error("function");
    let described = error.is_some().then_some("function-error");
    let chosen = page.draft.function.as_ref().map(value_of).unwrap_or_default();
    let stores = page.data.stores.clone();
    let other = page.draft.other.clone();
    let other_chosen = chosen == "other";
    let (image, method, kwargs) = (page.error("image"), page.error("method"), page.error("kwargs"));
    view! {
        <fieldset class="choices" aria-describedby=described>
            <legend>"Function"</legend>
            <FieldError id="function-error".to_owned() error/>
            {stores.into_iter().map(|store| view! { <StoreFunctions store chosen=chosen.clone()/> }).collect_view()}
            <div class="choice other-choice">
                <input type="radio" name="function" id="function-other" value="other" checked=other_chosen/>
                <div>
                    <label for="function-other">"Other image"</label>
                    <p class="muted">"Any image that the nodes allow, with its method and arguments."</p>
                </div>
            </div>
            <div class="other-image">
                <TextField name="image" label="Image" value=other.image maxlength=1024 error=image
                    help="Such as harbor2.vantage6.ai/demo/average"/>
                <TextField name="method" label="Method" value=other.method maxlength=128 error=method/>
                <div class="field">
                    <label for="kind">"Kind"</label>
                    <select id="kind" name="kind">
                        <option value="partial" selected=!other.central>"Partial: runs at every chosen organization"</option>
                        <option value="central" selected=other.central>"Central: runs at one organization and aggregates"</option>
                    </select>
                </div>
                <TextArea name="kwargs".to_owned() label="Arguments (JSON)".to_owned() value=other.kwargs code=true error=kwargs
                    help="An object, such as {\"column_name\": \"age\"}".to_owned()/>
            </div>
        </fieldset>
    }
}

#[component]
fn StoreFunctions(store: Store, chosen: String) -> impl IntoView {
    let store_id = store.id;
    let algorithms = match store.algorithms {
        Ok(algorithms) => algorithms,
        Err(error) => {
            return view! {
                <div class="store">
                    <h3>{store.name}</h3>
                    <p class="reason">{format!("Its functions cannot be chosen at the moment: {error}.")}</p>
                </div>
            }
            .into_any();
        }
    };
    view! {
        <div class="store">
            <h3>{store.name}</h3>
            {algorithms.iter().cloned().map(|algorithm| {
                let algorithm_id = algorithm.id;
                let (image, description) = (algorithm.image.clone(), algorithm.description.clone());
                let functions = algorithm.functions.into_iter().filter(|function| function.standalone);
                view! {
                    <div class="algorithm">
                        <h4>{algorithm.name}</h4>
                        <p class="muted">{description} " " <code>{image}</code></p>
                        {functions.map(|function| {
                            let choice = FunctionChoice::OfStore { store_id, algorithm_id, function: function.name.clone() };
                            let value = value_of(&choice);
                            let id = format!("function-{store_id}-{algorithm_id}-{}", function.name);
                            let kind = match function.partitioning {
                                Partitioning::Central => "central",
                                Partitioning::Partial => "partial",
                            };
                            view! {
                                <div class="choice">
                                    <input type="radio" name="function" id=id.clone() checked=value == chosen value=value.clone()/>
                                    <div>
                                        <label for=id>{function.display_name} " " <span class="tag">{kind}</span></label>
                                        <p class="muted">{function.description} " " <code>{function.name}</code></p>
                                    </div>
                                </div>
                            }
                        }).collect_view()}
                    </div>
                }
            }).collect_view()}
        </div>
    }
    .into_any()
}
