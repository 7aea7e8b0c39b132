//! Categories: a tree that products stand in.

use super::draft::Wrong;
use super::{product, slug};
use crate::error::{Code, FieldError, Problem};
use crate::id::CategoryId;
use crate::json::Field;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;

/// Categories of the shop, at most: the store shows them all at once.
pub const COUNT_MAX: usize = 2_000;
/// Levels of the tree, at most.
const LEVELS_MAX: usize = 10;
/// The highest position.
const POSITION_MAX: i32 = 1_000_000;

/// A category as staff see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AdminCategory)]
pub struct Category {
    /// The id.
    pub id: CategoryId,
    /// The category above; none at the top.
    #[schema(required)]
    pub parent_id: Option<CategoryId>,
    /// Its name in addresses.
    #[schema(example = "kitchen")]
    pub slug: String,
    /// Its name for people.
    #[schema(example = "Kitchen")]
    pub title: String,
    /// What is in it, for people.
    #[schema(example = "Mugs, bowls and linen.")]
    pub description: String,
    /// Its place among its siblings: the lowest first.
    pub position: i32,
    /// Grows with every change.
    pub version: i64,
}

/// A category as the store shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Category)]
pub struct Node {
    /// The id.
    pub id: CategoryId,
    /// Its name in addresses.
    #[schema(example = "kitchen")]
    pub slug: String,
    /// Its name for people.
    #[schema(example = "Kitchen")]
    pub title: String,
    /// What is in it, for people.
    #[schema(example = "Mugs, bowls and linen.")]
    pub description: String,
    /// The categories below, in their order.
    #[schema(no_recursion, example = json!([{
        "id": "cat_01h455vb4pex5vsknk084sn02r", "slug": "mugs", "title": "Mugs",
        "description": "", "children": [],
    }]))]
    pub children: Vec<Node>,
}

/// A category to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCategory)]
pub struct CategoryDraft {
    /// Its name, 1 to 500 characters.
    #[schema(
        example = "Kitchen",
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub title: String,
    /// Its name in addresses, unique; derived from the title unless given.
    #[schema(example = "kitchen", max_length = 200, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    pub slug: Option<String>,
    /// What is in it, at most 2,000 characters.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    pub description: String,
    /// The category above; at the top unless given.
    pub parent_id: Option<CategoryId>,
    /// Its place among its siblings: the lowest first.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub position: i32,
}

/// Changes of a category; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoryPatch {
    /// Its name, 1 to 500 characters.
    #[serde(default)]
    #[schema(
        value_type = String, example = "Kitchen", min_length = 1, max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub title: Field<String>,
    /// Its name in addresses, unique.
    #[serde(default)]
    #[schema(value_type = String, max_length = 200, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    pub slug: Field<String>,
    /// What is in it, at most 2,000 characters; `null` empties it.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2_000)]
    pub description: Field<String>,
    /// The category above, with everything below it; `null` moves it to the top.
    #[serde(default)]
    #[schema(value_type = Option<CategoryId>)]
    pub parent_id: Field<CategoryId>,
    /// Its place among its siblings: the lowest first; `null` is 0.
    #[serde(default)]
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 1_000_000)]
    pub position: Field<i32>,
}

impl CategoryDraft {
    /// The category among `all` others.
    pub fn check(self, id: CategoryId, all: &[Category]) -> Result<Category, Problem> {
        if all.len() >= COUNT_MAX {
            let detail = format!("The shop has {COUNT_MAX} categories, the most there can be.");
            return Err(Problem::new(Code::Conflict, detail));
        }
        let mut wrong = Wrong::default();
        let title = wrong.note("/title", product::title(&self.title)).unwrap_or_default();
        let given = self.slug.as_deref().map(product::slug).transpose();
        let given = wrong.note("/slug", given).flatten().map(str::to_owned);
        let made = Category {
            id,
            parent_id: self.parent_id,
            slug: given.unwrap_or_else(|| free_slug(title, all)),
            title: title.to_owned(),
            description: self.description,
            position: self.position,
            version: 1,
        };
        judge(wrong, &made, all)?;
        Ok(made)
    }
}

impl CategoryPatch {
    /// The category as it shall be, one of `all`.
    pub fn apply(self, before: &Category, all: &[Category]) -> Result<Category, Problem> {
        let mut wrong = Wrong::default();
        let mut after = before.clone();
        wrong.replace("/title", self.title, &mut after.title, |text| {
            product::title(text).map(str::to_owned)
        });
        wrong.replace("/slug", self.slug, &mut after.slug, |text| {
            product::slug(text).map(str::to_owned)
        });
        after.description = self.description.or_default().unwrap_or(after.description);
        after.parent_id = self.parent_id.optional().unwrap_or(after.parent_id);
        after.position = self.position.or_default().unwrap_or(after.position);
        judge(wrong, &after, all)?;
        Ok(after)
    }
}

/// The first slug of the title that nobody has.
fn free_slug(title: &str, all: &[Category]) -> String {
    let base = slug::of_title(title, "category");
    let taken: HashSet<&str> = all.iter().map(|category| category.slug.as_str()).collect();
    let mut slugs = (1..).map(|number| slug::numbered(&base, number));
    slugs.find(|slug| !taken.contains(slug.as_str())).unwrap_or(base)
}

/// Everything that is wrong with a category among `all`, itself or its former self included.
fn judge(mut wrong: Wrong, category: &Category, all: &[Category]) -> Result<(), Problem> {
    let is_short = category.description.chars().count() <= 2_000;
    wrong.unless(is_short, "/description", "must be at most 2,000 characters");
    let is_place = (0..=POSITION_MAX).contains(&category.position);
    wrong.unless(is_place, "/position", "must be from 0 to 1,000,000");
    wrong.note("/parent_id", place(category, all));
    wrong.0.finish()?;
    let is_taken = |other: &&Category| other.id != category.id && other.slug == category.slug;
    if all.iter().any(|other| is_taken(&other)) {
        let taken = FieldError::new("/slug", "is another category's slug");
        return Err(Problem::of_fields(Code::Conflict, vec![taken]));
    }
    Ok(())
}

/// Whether the category may stand where it says.
fn place(category: &Category, all: &[Category]) -> product::Checked<()> {
    let mut parents: HashMap<CategoryId, Option<CategoryId>> =
        all.iter().map(|other| (other.id, other.parent_id)).collect();
    parents.insert(category.id, category.parent_id);
    let above =
        |id: CategoryId| std::iter::successors(Some(id), |id| parents.get(id).copied().flatten());
    if category.parent_id.is_some_and(|parent| !parents.contains_key(&parent)) {
        return Err("there is no such category");
    }
    // More steps than categories only go in a circle.
    if above(category.id).skip(1).take(parents.len()).any(|id| id == category.id) {
        return Err("is this category, or one below it");
    }
    let is_deep = |id: &CategoryId| above(*id).take(LEVELS_MAX + 1).count() > LEVELS_MAX;
    if parents.keys().any(is_deep) {
        return Err("would make the tree deeper than 10 levels");
    }
    Ok(())
}

/// The tree of the categories below `parent`, in the order in which they come.
pub fn tree(categories: Vec<Category>, parent: Option<CategoryId>) -> Vec<Node> {
    let mut children: HashMap<Option<CategoryId>, Vec<Category>> = HashMap::new();
    for category in categories {
        children.entry(category.parent_id).or_default().push(category);
    }
    below(parent, &mut children)
}

/// Each list of children is taken once, so the recursion ends.
fn below(
    parent: Option<CategoryId>,
    children: &mut HashMap<Option<CategoryId>, Vec<Category>>,
) -> Vec<Node> {
    let here = children.remove(&parent).unwrap_or_default();
    let node = |category: Category| Node {
        children: below(Some(category.id), children),
        id: category.id,
        slug: category.slug,
        title: category.title,
        description: category.description,
    };
    here.into_iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> CategoryId {
        uuid::Uuid::from_u128(number).into()
    }

    fn category(number: u128, parent: Option<u128>) -> Category {
        Category {
            id: id(number),
            parent_id: parent.map(id),
            slug: format!("c-{number}"),
            title: format!("C {number}"),
            description: String::new(),
            position: 0,
            version: 1,
        }
    }

    fn moved(all: &[Category], number: u128, to: u128) -> Result<Category, Problem> {
        let before = all.iter().find(|category| category.id == id(number)).unwrap();
        let patch = CategoryPatch { parent_id: Field::Value(id(to)), ..Default::default() };
        patch.apply(before, all)
    }

    #[test]
    fn a_category_never_stands_below_itself() {
        let all = [category(1, None), category(2, Some(1)), category(3, Some(2))];
        for (number, to) in [(1, 1), (1, 2), (1, 3), (2, 3), (3, 9)] {
            let problem = moved(&all, number, to).unwrap_err();
            assert_eq!(problem.errors[0].pointer, "/parent_id", "{number} to {to}");
        }
        assert_eq!(moved(&all, 3, 1).unwrap().parent_id, Some(id(1)));
    }

    #[test]
    fn the_tree_has_ten_levels_at_most_also_after_a_move() {
        let mut all = vec![category(1, None)];
        all.extend((2..=10).map(|number| category(number, Some(number - 1))));
        all.extend([category(20, None), category(21, Some(20))]);
        assert!(moved(&all, 20, 8).is_ok());
        assert!(moved(&all, 20, 9).is_err());
        assert!(moved(&all, 21, 10).is_err());
    }

    #[test]
    fn the_tree_keeps_the_order_of_siblings() {
        let all = vec![
            category(5, None),
            category(1, None),
            category(4, Some(1)),
            category(3, Some(1)),
        ];
        let tree = tree(all, None);
        let ids = |nodes: &[Node]| nodes.iter().map(|node| node.id).collect::<Vec<_>>();
        assert_eq!(ids(&tree), [id(5), id(1)]);
        assert_eq!(ids(&tree[1].children), [id(4), id(3)]);
    }

    #[test]
    fn equal_titles_get_numbers_and_a_given_slug_must_be_free() {
        let draft = |slug: Option<&str>| CategoryDraft {
            title: "C 1".to_owned(),
            slug: slug.map(str::to_owned),
            description: String::new(),
            parent_id: None,
            position: 0,
        };
        let all = [category(1, None)];
        assert_eq!(draft(None).check(id(2), &all).unwrap().slug, "c-1-2");
        let taken = draft(Some("c-1")).check(id(2), &all).unwrap_err();
        assert_eq!((taken.code, &*taken.errors[0].pointer), (Code::Conflict, "/slug"));
    }
}
