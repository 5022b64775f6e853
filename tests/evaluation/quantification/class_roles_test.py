import pytest

from sperm_tf.evaluation.quantification.class_roles import (
    NORMAL,
    NOT_SPERM,
    OTHER_SPERM,
    ClassRoles,
    RolesError,
    default_roles,
    find_role,
    is_no_sperm,
)

SMIDS = default_roles(("normal", "abnormal", "non-sperm"))


def test_roles_come_from_the_names_of_the_classes_or_from_the_user():
    hushem = default_roles(("normal", "tapered", "pyriform", "amorphous"))
    assert (hushem.normal, hushem.not_sperm) == (("normal",), ()) and len(hushem.sperm) == 4
    assert (SMIDS.normal, SMIDS.not_sperm, SMIDS.sperm) == (("normal",), ("non-sperm",), ("normal", "abnormal"))
    assert (SMIDS.is_normal, SMIDS.is_sperm) == ((True, False, False), (True, True, False))
    assert default_roles(("normal", "white debris")).not_sperm == ("white debris",)
    assert default_roles(("normal", "artefacts", "Non-sperms")).not_sperm == ("artefacts", "Non-sperms")
    own = default_roles(("typical", "other", "dirt"), normal=["typical"], not_sperm=["dirt"])
    assert own == ClassRoles(("typical", "other", "dirt"), ("typical",), ("dirt",))
    with pytest.raises(RolesError, match=r"of the classes abnormal, tapered\. Name them with --normal_classes"):
        default_roles(("abnormal", "tapered"))
    with pytest.raises(RolesError, match=r"not_sperm_classes must be of a, normal\. Received: c"):
        default_roles(("a", "normal"), not_sperm=["c"])


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (NORMAL, "normal|Normal_Sperm|01_Normal|normal forms|NormalSpermatozoa|normal head"),
        (OTHER_SPERM, "abnormal|Abnormal_Sperm|02_Tapered|Pyriform|amorphous heads|round head|sperm|double tail"),
        (OTHER_SPERM, "Acrosome Abnormality|coiled tail|normal head abnormal tail|small|neck defect"),
        (NOT_SPERM, "non-sperm|Non-Sperms|NonSperm|not a sperm|Boya|white debris|d\u00e9bris|de\u0301bris|artefacts"),
        (NOT_SPERM, "impurity|Impurities|leukocyte|Leucocytes|round cell|round_cells|WBC|epithelial cells|spermatids"),
    ],
)
def test_what_a_name_tells(role, names):
    assert {name: find_role(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), role)


@pytest.mark.parametrize(
    "name",
    ["other", "unknown", "Verunreinigung", "impuret\u00e9", "\u6742\u8d28", "residuos", "background sperm", "bass", "2",
     "not normal", "non normal", "normal leukocyte", "abnormal non sperm", "normal tail", "head", "tail", "round",
     "double", "pinhead", "clump", "sperm with debris", "head debris"],
)  # fmt: skip
def test_a_name_that_tells_nothing_stops_the_count(name):
    assert find_role(name) is None and not is_no_sperm(name)
    with pytest.raises(RolesError, match="every class must be known to be of spermatozoa") as error:
        default_roles(("normal", "debris", name))
    assert f"--not_sperm_classes=debris,{name};" in str(error.value)
    assert str(error.value).endswith("--not_sperm_classes=debris.")
    assert default_roles(("normal", name), not_sperm=[name]).sperm == ("normal",)
    assert default_roles(("normal", name), not_sperm=[]).sperm == ("normal", name)
