//! What is written: a tree whose maps keep their order, as YAML or JSON.

use berth_model::visible;
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Number, Value};

/// A value with ordered fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// Fields in order.
    Map(Vec<(String, Tree)>),
}

/// Why a tree cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Not as YAML.
    #[error("write YAML: {0}")]
    Yaml(String),
    /// Not as JSON.
    #[error("write JSON")]
    Json(#[from] serde_json::Error),
}

impl Tree {
    /// A map without fields.
    #[must_use]
    pub const fn map() -> Self {
        Self::Map(Vec::new())
    }

    /// A list of texts.
    #[must_use]
    pub fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(
            texts
                .into_iter()
                .map(|text| Self::Text(text.as_ref().to_owned()))
                .collect(),
        )
    }

    /// With the field `name` at the end. Only maps have fields; anything else stays as it is.
    #[must_use]
    pub fn with(mut self, name: &str, value: Self) -> Self {
        if let Self::Map(fields) = &mut self {
            fields.push((name.to_owned(), value));
        }
        self
    }

    /// With a text field.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(name, Self::Text(value.to_owned()))
    }

    /// With a number field.
    #[must_use]
    pub fn number(self, name: &str, value: impl Into<Number>) -> Self {
        self.with(name, Self::Number(value.into()))
    }

    /// With a field, unless its value is empty: null, false, an empty text, list or map.
    #[must_use]
    pub fn with_some(self, name: &str, value: Self) -> Self {
        if value.is_empty() {
            self
        } else {
            self.with(name, value)
        }
    }

    /// With a text field, unless it is empty.
    #[must_use]
    pub fn some_text(self, name: &str, value: &str) -> Self {
        self.with_some(name, Self::Text(value.to_owned()))
    }

    /// Null, false, or an empty text, list or map.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => true,
            Self::Bool(true) | Self::Number(_) => false,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(fields) => fields.is_empty(),
        }
    }

    /// As YAML, ending in a newline.
    ///
    /// # Errors
    /// [`TreeError::Yaml`].
    pub fn to_yaml(&self) -> Result<String, TreeError> {
        let text = serde_saphyr::to_string(self).map_err(|error| TreeError::Yaml(error.to_string()))?;
        // Plain YAML has no way to say these, and JSON is YAML too.
        if visible::lines(&text) != text {
            return self.to_json();
        }
        Ok(text)
    }

    /// As YAML whose long texts stay on one line, for readers that take YAML by its lines.
    ///
    /// # Errors
    /// [`TreeError::Yaml`].
    pub fn to_unfolded_yaml(&self) -> Result<String, TreeError> {
        let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
        serde_saphyr::to_string_with_options(self, options)
            .map_err(|error| TreeError::Yaml(error.to_string()))
    }

    /// As indented JSON, ending in a newline.
    ///
    /// # Errors
    /// [`TreeError::Json`].
    pub fn to_json(&self) -> Result<String, TreeError> {
        let text = serde_json::to_string_pretty(self)?;
        let mut text = visible::json(&text).into_owned();
        text.push('\n');
        Ok(text)
    }
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => Self::Map(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::from(value)))
                    .collect(),
            ),
        }
    }
}

impl<K: AsRef<str>, V: Into<Tree>> FromIterator<(K, V)> for Tree {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self::Map(
            fields
                .into_iter()
                .map(|(name, value)| (name.as_ref().to_owned(), value.into()))
                .collect(),
        )
    }
}

impl From<&String> for Tree {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&bool> for Tree {
    fn from(flag: &bool) -> Self {
        Self::Bool(*flag)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}
