"""A live chart in a Streamlit app: the browser reads the topic itself, and no rerun moves the line."""

import html
import os

import streamlit as st
from streamlit.components.v1 import html as component

URL = os.environ.get("SLOSH_URL", "http://127.0.0.1:8000")

st.title("Live numbers")
topic = st.text_input("Topic", "kitchen")
span = st.selectbox("Span", ["1m", "10m", "1h", "all"])
component(
    f"""<script type="module" src="{URL}/-/chart.js"></script>
    <slosh-chart topic="{html.escape(topic)}" span="{span}" height="260"></slosh-chart>""",
    height=330,
)
