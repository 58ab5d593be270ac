"""Every YAML file that ships loads, and says what the program does by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firmware_sim.loader import load_scenario, shipped_scenarios
from gateway.config import load_config
from gateway.devices import load_profiles, profile_paths
from gateway.rules import load_rules, rule_paths

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "config" / "gateway.yaml"
RULES = ROOT / "rules"
PROFILES = ROOT / "devices"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name
)
def test_a_shipped_configuration_loads(path):
    load_config(path)


def test_the_shipped_configuration_shows_the_defaults():
    shipped, default = load_config(CONFIG), load_config(None)
    places = {name: getattr(default, name) for name in ("data_dir", "rules_path", "profiles_path")}
    assert replace(shipped, **places) == default


def test_the_shipped_configuration_names_the_shipped_rules_and_profiles():
    assert load_config(CONFIG).rules_path.resolve() == RULES
    assert load_config(CONFIG).profiles_path.resolve() == PROFILES


@pytest.mark.parametrize("path", rule_paths([RULES]), ids=lambda path: path.name)
def test_a_shipped_rule_file_loads_by_itself(path):
    assert load_rules([path]).rules


def test_the_shipped_rules_load_together():
    rules = load_rules([RULES]).rules
    assert len({rule.id for rule in rules}) == len(rules) > 0


@pytest.mark.parametrize("path", rule_paths([RULES]), ids=lambda path: path.name)
def test_a_shipped_rule_says_what_it_is_for(path):
    assert [rule.id for rule in load_rules([path]).rules if not rule.title] == []


@pytest.mark.parametrize("path", profile_paths([PROFILES]), ids=lambda path: path.name)
def test_a_shipped_profile_loads_by_itself(path):
    (profile,) = load_profiles([path]).profiles
    assert profile.title


def test_the_shipped_profiles_load_together():
    assert len(load_profiles([PROFILES])) == len(profile_paths([PROFILES])) > 0


@pytest.mark.parametrize("name", shipped_scenarios())
def test_a_shipped_scenario_loads(name):
    assert load_scenario(name).kinds


def test_no_other_yaml_ships_unread():
    read = {*rule_paths([RULES]), *(ROOT / "config").glob("*.yaml"), *profile_paths([PROFILES])}
    folders = [ROOT / folder for folder in ("config", "rules", "devices")]
    found = {path for folder in folders for path in folder.rglob("*.y*ml")}
    tests = {path for path in found if path.name.endswith(".test.yaml")}
    assert found - tests == read
