use super::*;
use crate::target::Access;
use std::path::Path;

const ORDERS: &str = "about = 'x'\nkind = 'buy'\narrivals = [{ rate = 5, seconds = 2 }]\n";

fn load(text: &str, changes: &[&str]) -> anyhow::Result<Scenario> {
    let path = std::env::temp_dir().join(format!("scenario-{:x}.toml", rand::random::<u64>()));
    std::fs::write(&path, text).unwrap();
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    let scenario = mixed(path.to_str().unwrap(), &changes);
    std::fs::remove_file(&path).unwrap();
    scenario
}

fn mixed(file: &str, changes: &[String]) -> anyhow::Result<Scenario> {
    match File::load(file, changes)? {
        File::Mixed(scenario) => Ok(*scenario),
        File::Preset(preset) => anyhow::bail!("{preset:?}"),
    }
}

#[test]
fn every_file_is_built_in_and_makes_sense() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let (_, text) = shipped.unwrap_or_else(|| panic!("{name} is not built in"));
        assert_eq!(*text, std::fs::read_to_string(&path).unwrap());
        if let File::Mixed(scenario) = File::load(name, &[]).unwrap() {
            assert!(scenario.expected().unwrap() > 100.0, "{name}");
        }
        count += 1;
    }
    assert_eq!(count, SHIPPED.len());
    let sale = mixed("flash-sale", &[]).unwrap();
    assert_eq!((sale.kind, sale.goods.units), (Kind::Buy, Some(1_000)));
    assert_eq!(sale.expected().unwrap(), 20_000.0);
}

#[test]
fn what_is_not_given_has_its_usual_value() {
    let scenario = load(ORDERS, &[]).unwrap();
    assert_eq!((scenario.seed, scenario.goods.fresh, scenario.goods.lines), (1, 1, 1));
    assert_eq!((scenario.clients.connections, scenario.thresholds.unknown_max), (256, None));
    assert_eq!((scenario.mix().orders, scenario.mix().products), (1.0, 0.0));
    assert_eq!((scenario.peak().unwrap(), scenario.expected().unwrap()), (5.0, 10.0));
}

#[test]
fn any_key_can_be_set_on_the_command_line() {
    let changes = [
        "goods.units=7",
        "arrivals.0.rate=2.5",
        "thresholds.p99_ms_max=9",
        "thresholds.each.orders.p99_ms_max=8",
        "about=several words",
        "seed=3",
    ];
    let scenario = load(ORDERS, &changes).unwrap();
    assert_eq!((scenario.goods.units, scenario.seed), (Some(7), 3));
    assert_eq!(scenario.about, "several words");
    assert_eq!(scenario.peak().unwrap(), 2.5);
    assert_eq!(scenario.thresholds.p99_ms_max, Some(9.0));
    assert_eq!(scenario.thresholds.each["orders"].p99_ms_max, Some(8.0));
    for (change, expected) in [
        ("goods.unit=7", "unit"),
        ("goods.units=many", "units"),
        ("arrivals.1.rate=5", "expected a number below 1"),
        ("kind.of=5", "nothing below a string"),
        ("seed", "expected key=value"),
    ] {
        let error = format!("{:#}", load(ORDERS, &[change]).unwrap_err());
        assert!(error.contains(expected) && error.contains(change), "{change}: {error}");
    }
}

#[test]
fn an_error_names_the_file_and_the_key() {
    let carts = "[mix]\ncarts = 1\n[sessions]\ncount = 10\nthink_seconds = 5\n";
    let mixed = ORDERS.replace("buy", "mixed");
    for (text, expected) in [
        (format!("{ORDERS}[goods]\nunit = 5"), "unknown field `unit`"),
        (format!("{ORDERS}[goods]\nzipf = 'much'"), "zipf = 'much'"),
        (format!("{ORDERS}[goods]\nlines = 0"), "goods.lines: 1 to 2000"),
        (format!("{ORDERS}[goods]\nunits = 5\nfresh = 0"), "goods.units: only of goods"),
        (format!("{ORDERS}[mix]\norders = 1"), "mix: not for kind = \"buy\""),
        (mixed.clone(), "mix: missing, for kind = \"mixed\""),
        (format!("{mixed}[mix]\nlists = -1"), "mix.lists: zero or more"),
        (format!("{mixed}[mix]"), "mix = 0: more than zero"),
        (format!("{mixed}{carts}"), "10 who think 5 s cannot add 5 times a second"),
        (format!("{ORDERS}[clients]\nnew_connections = 2"), "clients.new_connections = 2"),
        (format!("{ORDERS}[thresholds]\nlate_share_max = 2"), "thresholds.late_share_max = 2"),
        (format!("{ORDERS}[thresholds]\np99_drift_max = 2"), "thresholds.p99_drift_max: for"),
        (format!("{ORDERS}[thresholds.each.carts]"), "thresholds.each.carts: the scenario does"),
        (ORDERS.replace("buy", "stairs"), "stairs: for kind = \"stairs\""),
        (ORDERS.replace("rate = 5", "rate = 0"), "arrivals.0: rate: nobody would come"),
        (
            ORDERS.replace("'buy'", "'sell'"),
            "kind = \"sell\": expected buy, mixed, soak, stairs, rush",
        ),
    ] {
        let error = format!("{:#}", load(&text, &[]).unwrap_err());
        let names_it = error.contains("scenario-") && error.contains(expected);
        assert!(names_it, "{expected} is not in: {error}");
    }
    let error = format!("{:#}", File::load("no-such", &[]).unwrap_err());
    assert!(
        error.contains("no-such: no such file, and none of smoke, rush, flash-sale"),
        "{error}"
    );
}

#[test]
fn stairs_have_all_their_steps() {
    let stairs = mixed("stairs", &["stairs.to=1000".to_owned()]).unwrap();
    let rates: Vec<f64> = stairs.stairs.as_ref().unwrap().rates().collect();
    assert_eq!(rates, [250.0, 500.0, 750.0, 1_000.0]);
    assert_eq!((stairs.peak().unwrap(), stairs.expected().unwrap()), (1_000.0, 38_000.0));
}

#[test]
fn a_scenario_of_the_command_line_takes_its_options_from_the_file() {
    const RUSH: &str = "about = 'x'\nkind = 'rush'\nkill = 2\n[options]\nbuyers = 30\n\
        ramp_seconds = 0.5\nprovider = 'manual'\n";
    let preset = |text: &str, changes: &[&str]| {
        let path = std::env::temp_dir().join(format!("preset-{:x}.toml", rand::random::<u64>()));
        std::fs::write(&path, text).unwrap();
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let file = File::load(path.to_str().unwrap(), &changes);
        std::fs::remove_file(&path).unwrap();
        file
    };
    let Ok(File::Preset(rush)) = preset(RUSH, &["options.skus=3"]) else { panic!("no preset") };
    let urls = ["http://a:1".parse().unwrap(), "http://b:2".parse().unwrap()];
    let access =
        Access { database: Some("postgres://d".to_owned()), admin_key: Some("sk_k".to_owned()) };
    let against = |pids| Against {
        urls: &urls,
        pids,
        new_connections: 0.5,
        live: false,
        access: &access,
        record: None,
    };
    let told = format!("{:?}", rush.journey(&against(&[7, 8])).unwrap());
    for part in [
        "buyers: 30",
        "ramp_seconds: 0.5",
        "skus: 3",
        "postgres://d",
        "sk_k",
        "new_connections: 0.5",
        "kill_pid: Some(8)",
        "kill_url: Some(\"http://b:2\")",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let error = rush.journey(&against(&[7])).unwrap_err().to_string();
    assert!(error.contains("whose process?"), "{error}");
    for (change, expected) in [
        ("options.bayers=3", "unexpected argument '--bayers'"),
        ("options.buyers=few", "invalid value 'few' for '--buyers"),
        ("options.buyers=0", "--buyers: at least one"),
        ("options.ramp_seconds=-1", "--ramp-seconds: zero or more"),
        ("options.connections=4", "cannot have 10 requests in flight"),
        ("thresholds.p99_ms_max=-5", "thresholds.p99_ms_max = -5: more than zero"),
        ("options.buyers=[1]", "options.buyers: expected a number or a text"),
        ("options.url=http://c:3", "options.url: on the command line"),
        ("goods.units=3", "unknown field `goods`"),
        ("kill=9999999999", "kill: 1 to 32"),
        ("thresholds.p99_drift_max=2", "p99_drift_max is of soaks"),
        ("kind=search", "kill: not of kind = \"search\""),
    ] {
        let error = format!("{:#}", preset(RUSH, &[change]).unwrap_err());
        assert!(error.contains(expected), "{change}: {expected} is not in: {error}");
    }
}

#[test]
fn what_a_preset_cannot_do_is_said_before_anything_is_started() {
    let preset = |name: &str, changes: &[&str]| {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let Ok(File::Preset(preset)) = File::load(name, &changes) else { panic!("no preset") };
        preset
    };
    let rush = preset("rush", &["kill=2"]);
    rush.rehearse(2, true, Some(Path::new("orders.ndjson"))).unwrap();
    let search = preset("search", &[]);
    for (preset, instances, live, record, expected) in [
        (&rush, 1, false, None, "kill = 2: too few"),
        (&search, 1, true, None, "--live: not of kind = \"search\""),
        (&search, 1, false, Some(Path::new("orders.ndjson")), "--record: not of kind"),
    ] {
        let error = format!("{:#}", preset.rehearse(instances, live, record).unwrap_err());
        assert!(error.contains(expected), "{expected} is not in: {error}");
    }
}
