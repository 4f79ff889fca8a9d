"""The page of `make app`: one button for each box, which is built when it is first chosen."""

import html

import ipywidgets as widgets
from IPython.display import display


def show_page(heading, boxes):
    """Show the buttons, and beneath them the box of the first one.

    boxes : {button: (title, sentence, build)}; title and sentence are HTML, and build() displays the box
    """
    choice = widgets.ToggleButtons(options=list(boxes), style={"button_width": "auto"})
    choice.add_class("play-choice")
    choice.layout.flex_flow = "row wrap"
    head, message, stage, built = widgets.HTMLMath(), widgets.HTML(), widgets.VBox(), {}
    message.add_class("play-message")

    def open_box(name):
        title, sentence, build = boxes[name]
        head.value, message.value = f"<h2>{title}</h2>{sentence}", ""
        for output in stage.children:
            output.layout.display = "none"
        if name not in built:
            message.value, output = "<p>computing …</p>", widgets.Output()
            stage.children = (*stage.children, output)
            try:
                with output:
                    build()
            except Exception as error:
                message.value = f"<p>⚠ {html.escape(f'{type(error).__name__}: {error}')}</p>"
                return
            built[name], message.value = output, ""
        built[name].layout.display = ""

    choice.observe(lambda change: open_box(change["new"]), "value")
    page = widgets.VBox([widgets.HTML(f"<h1>{heading}</h1>"), choice, head, message, stage])
    page.add_class("play")
    display(page)
    open_box(choice.value)
