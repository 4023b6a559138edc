use leptos::prelude::*;

use super::StepPage;
use crate::pages::components::{TextArea, TextField};

pub fn view(page: &StepPage) -> impl IntoView + use<> {
    view! {
        <TextField name="name" label="Name" value=page.draft.name.clone() maxlength=128 required=true error=page.error("name")
            help="How you and others find the task again, such as Mean age at baseline"/>
        <TextArea name="description".to_owned() label="Description (optional)".to_owned() value=page.draft.description.clone()
            error=page.error("description") help="What it is for. The organizations whose data it touches read this.".to_owned()/>
    }
}
