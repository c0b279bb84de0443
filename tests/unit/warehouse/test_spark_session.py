"""What the process that runs dbt on Spark says of failed models. tests/spark runs it."""

from types import SimpleNamespace

from warehouse import spark_session


def test_a_failed_model_is_named_with_sparks_own_message() -> None:
    message = "Runtime Error\n  [NO_COLUMN] no such column\n'Project"
    results = [
        SimpleNamespace(node=SimpleNamespace(name="silver_orders"), status="success", message="OK"),
        SimpleNamespace(node=SimpleNamespace(name="gold_sales"), status="error", message=message),
        SimpleNamespace(
            node=SimpleNamespace(name="gold_late"), status="error", message="Java\nCaused by: a full disk\n... 3 more"
        ),
        SimpleNamespace(node=SimpleNamespace(name="gold_more"), status="skipped", message=None),
    ]
    assert list(spark_session.failures(results)) == [
        "gold_sales: [NO_COLUMN] no such column",
        "gold_late: Caused by: a full disk",
    ]
