"""What leads readers through the study: the methods in words, and the page with everything."""


rule write_methods:
    """Write the methods in words, with citations, and every value that the paper does not give, with our choice."""
    input:
        configuration="<results>/provenance/configuration.yaml",
        schema=workflow_file("../schemas/config.schema.json"),
        software="<results>/provenance/software.json",
        split="<results>/split/split.tsv",
        independent="<results>/split/independent.tsv",
        layers="<results>/tables/layers.tsv",
        tables=collect(
            "<results>/conversion/cohort-{cohort}/tables.tsv", cohort=CONVERTED
        ),
        page=page_files(
            "templates/methods.html.j2",
            "templates/methods.md.j2",
            "templates/methods.txt.j2",
            "templates/sheets.html.j2",
            "templates/sheets.md.j2",
            "templates/sheets.tex.j2",
        ),
    output:
        html=report(
            "<results>/report/methods.html",
            caption="../report/methods.rst",
            category="Methods",
            labels={"text": "methods"},
        ),
        markdown="<results>/report/methods.md",
        assumptions="<results>/tables/assumptions.tsv",
        assumptions_html=report(
            "<results>/tables/assumptions.html",
            caption="../report/assumptions.rst",
            category="Tables",
            labels={"table": "assumptions"},
        ),
        assumptions_texts=multiext("<results>/tables/assumptions", ".md", ".tex"),
    log:
        "<logs>/write_methods.log",
    group:
        "reporting"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        title=lookup("study/name", within=config),
        converted=CONVERTED,
        simulated=SIMULATED,
        code=script_digest("write_methods"),
    script:
        "../scripts/write_methods.py"


rule write_index:
    """Write the page that leads to every table, figure, audit and method, with the figures inside."""
    input:
        rules.tables.input,
        rules.figures.input,
        rules.audit.input,
        rules.write_methods.output,
        collect(
            "<results>/split/{table}.tsv",
            table=["split", "balance", "demographics", "independent"],
        ),
        collect(
            "<results>/conversion/cohort-{cohort}/{table}.tsv",
            cohort=CONVERTED,
            table=["conversion", "tables"],
        ),
        "<results>/provenance/files.tsv",
        "<results>/split/leakage.json",
        "<results>/tables/histories.tsv",
        "<results>/tables/layers.tsv",
        page=page_files("style/index.css", "templates/index.html.j2"),
    output:
        page="<results>/index.html",
    log:
        "<logs>/write_index.log",
    group:
        "reporting"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        title=lookup("study/name", within=config),
        simulated=SIMULATED,
        code=script_digest("write_index"),
    script:
        "../scripts/write_index.py"
