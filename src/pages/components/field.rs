use leptos::prelude::*;

/// The message at a field; nothing if there is none.
#[component]
pub fn FieldError(
    /// The id of the message, to which the field's `aria-describedby` points.
    id: String,
    error: Option<String>,
) -> impl IntoView {
    error.map(|error| view! { <p class="field-error" id=id>{error}</p> })
}

/// What servers of the vantage6 protocol ask of a new password.
pub const PASSWORD_RULES: &str = "At least 12 characters, such as a few words that belong together for you only; none of those that are tried first.";

/// A labelled line of text.
#[component]
pub fn TextField(
    name: &'static str,
    label: &'static str,
    #[prop(into)] value: String,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional)] autocomplete: Option<&'static str>,
    #[prop(optional)] help: Option<&'static str>,
    #[prop(optional)] maxlength: Option<u32>,
    #[prop(optional)] inputmode: Option<&'static str>,
    #[prop(default = false)] required: bool,
    #[prop(default = false)] autofocus: bool,
    #[prop(default = None)] error: Option<String>,
) -> impl IntoView {
    let error_id = format!("{name}-error");
    let described = error.is_some().then(|| error_id.clone());
    let invalid = error.is_some().then_some("true");
    // What a phone would begin with a capital, or correct.
    let is_name = autocomplete == Some("username");
    let (autocapitalize, spellcheck) = (is_name.then_some("none"), is_name.then_some("false"));
    view! {
        <div class="field">
            <label for=name>{label}</label>
            {help.map(|help| view! { <p class="help">{help}</p> })}
            <input id=name name=name type=kind value=value autocomplete=autocomplete maxlength=maxlength inputmode=inputmode
                autocapitalize=autocapitalize spellcheck=spellcheck required=required autofocus=autofocus aria-invalid=invalid aria-describedby=described/>
            <FieldError id=error_id error/>
        </div>
    }
}

/// A labelled field for several lines. The only `<textarea>` there is: server rendering does not escape what stands
/// in it, so that is done here.
#[component]
pub fn TextArea(
    name: String,
    label: String,
    value: String,
    #[prop(default = String::new())] help: String,
    #[prop(default = 4)] rows: u32,
    #[prop(default = false)] code: bool,
    #[prop(default = None)] error: Option<String>,
) -> impl IntoView {
    let error_id = format!("{name}-error");
    let described = error.is_some().then(|| error_id.clone());
    let invalid = error.is_some().then_some("true");
    let class = if code { "code" } else { "" };
    // A parser drops a line break that directly follows the start tag.
    let content = format!("\n{}", escape(&value));
    view! {
        <div class="field">
            <label for=name.clone()>{label}</label>
            {(!help.is_empty()).then(|| view! { <p class="help">{help}</p> })}
            <textarea id=name.clone() name=name rows=rows class=class aria-invalid=invalid
                aria-describedby=described>{content}</textarea>
            <FieldError id=error_id error/>
        </div>
    }
}

/// Text for inside an element that is not escaped by itself.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_end_a_text_area() {
        let owner = Owner::new();
        let html = owner.with(|| {
            view! {
                <TextArea name="x".to_owned() label="X".to_owned() value="</textarea><script>alert(1)</script>&lt;".to_owned()/>
            }
            .to_html()
        });
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&lt;/textarea&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;lt;"), "{html}");
    }
}
