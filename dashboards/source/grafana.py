"""Grafana's classic JSON model, as far as these dashboards need it."""

import re

# Where docs/runbooks is published.
RUNBOOKS = "https://runbooks.example.com/vod-callback-exporter"
TAG = "vod-callback-exporter"
# In the order of the links; the uid is a promise to links from elsewhere.
BOARDS = {
    "vod-overview": "VOD callbacks / Overview",
    "vod-queue": "VOD callbacks / Queue",
    "vod-transcodes": "VOD callbacks / Transcodes",
    "vod-exporter": "VOD callbacks / Exporter",
}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24

GOOD, WARN, BAD, CALM, MUTED = "green", "orange", "red", "blue", "text"
P50, P95 = "blue", "purple"
# Why a body cannot be decoded. Not red: nothing is lost, since the bodies are kept.
REASON_COLORS = {
    "bad_base64": "yellow",
    "not_json": "blue",
    "not_object": "light-blue",
    "no_event_type": "purple",
    "foreign_envelope": "light-purple",
    "bad_event_time": "dark-yellow",
    "too_large": "dark-blue",
}
PER_MINUTE = "suffix:/min"
SECONDS, CLOCK, SHARE, BYTES = "s", "dthms", "percentunit", "bytes"
# All digits, and with K and M where there is no room for them.
COUNT, ROUGHLY = "locale", "short"


class Board:
    """Panels in lines from left to right, lines from top to bottom."""

    def __init__(self, uid, description):
        self.uid, self.description = uid, description
        self.panels, self.top = [], 0

    def line(self, height, *panels):
        """A line of panels of the same height, over the whole width."""
        left = 0
        for panel in panels:
            width = panel["gridPos"]["w"]
            self._add(panel | {"gridPos": {"x": left, "y": self.top, "w": width, "h": height}})
            left += width
        assert left == COLUMNS, f"{self.uid}: a line of {left} columns"
        self.top += height

    def section(self, title):
        """A heading, which folds what follows."""
        place = {"x": 0, "y": self.top, "w": COLUMNS, "h": 1}
        self._add({"type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []})
        self.top += 1

    def _add(self, panel):
        self.panels.append({"id": len(self.panels) + 1, **panel})

    def json(self):
        return {
            "uid": self.uid,
            "title": BOARDS[self.uid],
            "description": self.description,
            "tags": [TAG],
            "editable": False,
            "graphTooltip": 1,
            "schemaVersion": 38,
            "timezone": "browser",
            "time": {"from": "now-3h", "to": "now"},
            "refresh": "1m",
            "annotations": {"list": []},
            "links": self._links(),
            "templating": {"list": _variables()},
            "panels": self.panels,
        }

    def _links(self):
        others = [(uid, title.split(" / ")[1]) for uid, title in BOARDS.items() if uid != self.uid]
        boards = [_link(title, f"/d/{uid}", "dashboard", keep=True) for uid, title in others]
        return [*boards, _link("Runbooks", RUNBOOKS)]


def _variables():
    def query(name, label, text):
        return {
            "type": "query",
            "name": name,
            "label": label,
            "datasource": SOURCE,
            "definition": text,
            "query": {"query": text, "refId": name},
            "regex": "",
            "sort": 1,
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "current": {"text": ["All"], "value": ["$__all"]},
            "options": [],
        }

    source = {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "regex": "",
        "multi": False,
        "includeAll": False,
        "current": {},
        "options": [],
        "refresh": 1,
    }
    return [
        source,
        query("job", "Job", "label_values(vod_callback_exporter_build_info, job)"),
        query("queue", "Queue", 'label_values(mns_queue_info{job=~"$job"}, queue)'),
    ]


# --- panels ---------------------------------------------------------------------------------------


def question(title, text, w=6):
    """A question, over the panels that answer it."""
    return {
        "type": "text",
        "title": title,
        "description": text,
        "transparent": True,
        "gridPos": {"w": w},
        "fieldConfig": {"defaults": {"unit": "none"}, "overrides": []},
        "options": {"mode": "markdown", "content": text},
    }


def stat(
    title,
    description,
    expr,
    *,
    unit=COUNT,
    steps=None,
    mappings=(),
    no_value="not known",
    decimals=None,
    runbook=None,
    w=3,
):
    """A number that has a meaning: green is good, orange asks for a look, red for an act, as the runbook says.

    Why it is missing has no room in its place, and may be that the exporter is down: the description says it.
    """
    # A number that is missing would have the colour of the lowest.
    missing = {"type": "special", "options": {"match": "null+nan", "result": {"color": MUTED, "index": 99}}}
    defaults = _defaults(unit, no_value, decimals=decimals, mappings=[*mappings, missing])
    defaults |= {"color": {"mode": "thresholds"}, "thresholds": thresholds(steps or [MUTED])}
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "text": {"valueSize": 24},
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "value",
        "wideLayout": True,
        "showPercentChange": False,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    panel = _panel("stat", title, description, [_instant(expr)], defaults, [], options, w)
    panel["links"] = [_link(f"Runbook {runbook}", f"{RUNBOOKS}/{runbook}.md")] if runbook else []
    return panel


def lines(
    title,
    description,
    *series,
    unit,
    no_value,
    w=6,
    stack=False,
    bars=False,
    legend=(),
    least=0,
    most=None,
    overrides=(),
    colors=None,
    decimals=None,
):
    """Curves, or stacked bars. A series is (expression, legend) or (expression, legend, colour)."""
    few = not any("{{" in name for _, name, *_ in series)
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 0 if bars else 2 if not stack else 1,
        "fillOpacity": 70 if bars else 40 if stack else 8 if few else 0,
        "lineInterpolation": "linear",
        "showPoints": "never",
        "spanNulls": not bars,
        "stacking": {"mode": "normal" if stack or bars else "none", "group": "A"},
        # Nothing at all is a flat line at the bottom, not in the middle of 0 to 100.
        "axisSoftMax": 1 if unit in (PER_MINUTE, COUNT) else None,
    }
    custom = {name: value for name, value in custom.items() if value is not None}
    defaults = _defaults(unit, _or_down(no_value), custom=custom, min=least, max=most, decimals=decimals)
    defaults["color"] = {"mode": "palette-classic"}
    named = [painted(one[1], one[2]) for one in series if len(one) > 2]
    named += [painted(name, color) for name, color in (colors or {}).items()]
    options = {
        "legend": {
            "showLegend": True,
            "displayMode": "table" if legend else "list",
            "placement": "bottom",
            "calcs": list(legend),
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    targets = [_range(expr, name, chr(ord("A") + i)) for i, (expr, name, *_) in enumerate(series)]
    return _panel("timeseries", title, description, targets, defaults, [*named, *overrides], options, w)


def heatmap(title, description, expr, *, unit, no_value, w=8):
    """The buckets of a histogram over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Blues",
            "steps": 64,
            "exponent": 0.5,
            "fill": "dark-blue",
            "reverse": False,
        },
        "filterValues": {"le": 1e-9},
        "rowsFrame": {"layout": "auto"},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit, "decimals": 0},
        "cellValues": {"unit": "short", "decimals": 0},
        "showValue": "never",
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
    }
    target = _range(expr, "{{le}}", "A") | {"format": "heatmap"}
    defaults = _defaults(unit, _or_down(no_value))
    return _panel("heatmap", title, description, [target], defaults, [], options, w) | {"maxDataPoints": 60}


def bars(title, description, *series, unit=COUNT, no_value, w=6, decimals=0, place="top"):
    """Horizontal bars: (expression, legend, colour or None for the usual one)."""
    defaults = _defaults(unit, _or_down(no_value), decimals=decimals, min=0)
    defaults |= {"color": {"mode": "fixed", "fixedColor": CALM}, "thresholds": thresholds([CALM])}
    options = {
        "text": {"titleSize": 12, "valueSize": 16},
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "text",
        "showUnfilled": True,
        "namePlacement": place,
        "sizing": "auto",
        "minVizHeight": 16,
        "minVizWidth": 8,
        "maxVizHeight": 60,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    targets = [_instant(expr, name, chr(ord("A") + i)) for i, (expr, name, _) in enumerate(series)]
    overrides = [painted(name, color) for _, name, color in series if color]
    return _panel("bargauge", title, description, targets, defaults, overrides, options, w)


def table(title, description, columns, *, no_value, w=24, sort=None, key=None):
    """One row for each of the labels that the queries share. `columns` are Column."""
    targets, rename, order, overrides, hidden = [], {}, {}, [], {"Time": True}
    for column in columns:
        if column.expr:
            column.ref = chr(ord("A") + len(targets))
            targets.append(_instant(column.expr, ref=column.ref) | {"format": "table"})
    several = len(targets) > 1
    for place, column in enumerate(columns):
        name = column.label or (f"Value #{column.ref}" if several else "Value")
        rename[name], order[name] = column.title, place
        if column.hidden:
            hidden[name] = True
        elif column.properties:
            overrides.append(_by_name(column.title, column.properties))
    defaults = _defaults(
        COUNT,
        _or_down(no_value),
        custom={
            "align": "auto",
            "minWidth": 70,
            "inspect": False,
            "cellOptions": {"type": "auto"},
            "filterable": False,
        },
    )
    defaults |= {"color": {"mode": "thresholds"}, "thresholds": thresholds([MUTED])}
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "frameIndex": 0,
        "footer": {"show": False, "reducer": ["sum"], "fields": []},
    }
    if sort:
        options["sortBy"] = [{"displayName": sort, "desc": True}]
    organize = {"excludeByName": hidden, "renameByName": rename, "indexByName": order}
    panel = _panel("table", title, description, targets, defaults, overrides, options, w)
    merge = [{"id": "merge", "options": {}}] if several else []
    panel["transformations"] = [*merge, {"id": "organize", "options": organize}]
    return panel


class Column:
    """A column of a table: a label of the queries, or the value of one."""

    def __init__(
        self,
        title,
        expr=None,
        *,
        label=None,
        unit=None,
        steps=None,
        mappings=None,
        link=None,
        width=None,
        decimals=None,
        hidden=False,
    ):
        self.title, self.expr, self.label, self.hidden, self.ref = title, expr, label, hidden, None
        # Where a value is missing its cell says so; why is in the panel's description.
        self.properties = [] if label else [_property("noValue", "-")]
        for name, value in [("unit", unit), ("decimals", decimals), ("mappings", mappings), ("custom.width", width)]:
            if value is not None:
                self.properties.append(_property(name, value))
        if steps:
            self.properties.append(_property("thresholds", thresholds(steps)))
            self.properties.append(_property("custom.cellOptions", {"type": "color-text"}))
        if link:
            self.properties.append(_property("links", [link]))


def drill(uid, title):
    """A link from a row of a table to another board, for the row's queue."""
    keep = "${datasource:queryparam}&${job:queryparam}&${__url_time_range}"
    return {"title": title, "url": f"/d/{uid}?var-queue=${{__data.fields.Queue}}&{keep}", "targetBlank": False}


# --- parts ----------------------------------------------------------------------------------------


def thresholds(steps):
    """Steps as [colour, (bound, colour), ...]."""
    first, *others = steps
    bounds = [{"color": first, "value": None}] + [{"color": color, "value": bound} for bound, color in others]
    return {"mode": "absolute", "steps": bounds}


def words(**texts):
    """Values that are words: _1=("yes", colour)."""
    options = {
        name.lstrip("_"): {"text": text, "color": color, "index": index}
        for index, (name, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def _link(title, url, icon="doc", keep=False):
    """A link to another board, which keeps time and variables, or out of Grafana, in a window of its own."""
    return {
        "type": "link",
        "title": title,
        "icon": icon,
        "url": url,
        "targetBlank": not keep,
        "keepTime": keep,
        "includeVars": keep,
        "tags": [],
        "asDropdown": False,
        "tooltip": "",
    }


def painted(name, color):
    return _by_name(name, [_property("color", {"mode": "fixed", "fixedColor": color})])


def _by_name(name, properties):
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _property(name, value):
    return {"id": name, "value": value}


def _defaults(unit, no_value, **more):
    given = {name: value for name, value in more.items() if value is not None}
    return {"unit": unit, "noValue": no_value, "mappings": given.pop("mappings", []), **given}


def _or_down(no_value):
    """Whatever the reason usually is, nothing is known while nobody looks."""
    return f"{no_value}, or the exporter is down" if no_value else "the exporter is down"


def _instant(expr, name="", ref="A"):
    return {"refId": ref, "datasource": SOURCE, "expr": expr, "instant": True, "range": False, "legendFormat": name}


def _range(expr, name, ref):
    return {"refId": ref, "datasource": SOURCE, "expr": expr, "instant": False, "range": True, "legendFormat": name}


def _panel(kind, title, description, targets, defaults, overrides, options, w):
    return {
        "type": kind,
        "title": title,
        "description": re.sub(r"\s+", " ", description).strip(),
        "datasource": SOURCE,
        "gridPos": {"w": w},
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        "targets": targets,
    }
