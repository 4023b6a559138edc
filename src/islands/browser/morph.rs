use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, Node};

/// Makes an element as another one is, touching only what differs: focus, selection, scrolling and what was opened
/// stay.
pub fn morph(old: &Element, new: &Element) {
    copy_attributes(old, new);
    let mut next_old = old.first_child();
    let mut next_new = new.first_child();
    loop {
        match (next_old.take(), next_new.take()) {
            (Some(old_child), Some(new_child)) => {
                let old_child = skip_what_is_gone(old, old_child, &new_child);
                next_old = old_child.next_sibling();
                next_new = new_child.next_sibling();
                morph_child(old, &old_child, &new_child);
            }
            (None, Some(new_child)) => {
                next_new = new_child.next_sibling();
                let _ = old.append_child(&new_child);
            }
            (Some(old_child), None) => {
                next_old = old_child.next_sibling();
                let _ = old.remove_child(&old_child);
            }
            (None, None) => break,
        }
    }
    copy_state(old, new);
}

/// Where a list lost some of its rows, those are removed: the old element with the new one's id, else the first.
fn skip_what_is_gone(parent: &Element, old: Node, new: &Node) -> Node {
    let id_of = |node: &Node| node.dyn_ref::<Element>().map(Element::id).filter(|id| !id.is_empty());
    let Some(id) = id_of(new) else { return old };
    let mut gone = Vec::new();
    let mut next = Some(old.clone());
    while let Some(node) = next {
        if id_of(&node).as_ref() == Some(&id) {
            for node in gone {
                let _ = parent.remove_child(&node);
            }
            return node;
        }
        next = node.next_sibling();
        gone.push(node);
    }
    old
}

fn morph_child(parent: &Element, old: &Node, new: &Node) {
    if old.node_name() != new.node_name() {
        let _ = parent.replace_child(new, old);
        return;
    }
    match (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) {
        (Some(old), Some(new)) if old.id() == new.id() => morph(old, new),
        (Some(_), _) => {
            let _ = parent.replace_child(new, old);
        }
        // Texts and comments.
        _ if old.node_value() != new.node_value() => old.set_node_value(new.node_value().as_deref()),
        _ => {}
    }
}

fn copy_attributes(old: &Element, new: &Element) {
    for name in names(new) {
        let value = new.get_attribute(&name).unwrap_or_default();
        if old.get_attribute(&name).as_ref() != Some(&value) {
            let _ = old.set_attribute(&name, &value);
        }
    }
    for name in names(old) {
        // What the reader opened stays open, and what was chosen before the page came stays chosen; the name by
        // which it is followed is the page's own.
        let keeps = name == "open" || name == "data-live" || name == "checked" && old.has_attribute("data-keep");
        if !new.has_attribute(&name) && !keeps {
            let _ = old.remove_attribute(&name);
        }
    }
}

fn names(element: &Element) -> impl Iterator<Item = String> {
    element.get_attribute_names().iter().filter_map(|name| name.as_string()).collect::<Vec<_>>().into_iter()
}

/// What a form field holds is not in its attributes once somebody used it. The field that is being used keeps it.
fn copy_state(old: &Element, new: &Element) {
    let is_field = matches!(old.node_name().as_str(), "INPUT" | "SELECT" | "TEXTAREA" | "OPTION");
    let in_use = old.owner_document().and_then(|document| document.active_element()).as_ref() == Some(old);
    // What was chosen or typed stays where the page says so.
    if !is_field || in_use || old.has_attribute("data-keep") {
        return;
    }
    for name in ["checked", "selected", "value"] {
        let name = JsValue::from_str(name);
        let (Ok(was), Ok(is)) = (Reflect::get(old, &name), Reflect::get(new, &name)) else { continue };
        if was != is {
            let _ = Reflect::set(old, &name, &is);
        }
    }
}
