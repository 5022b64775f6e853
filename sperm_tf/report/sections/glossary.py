"""The report's technical words, for a reader who leads a laboratory rather than writes software."""

GLOSSARY = (
    (
        "Accuracy",
        "Share of the test images that the model put into the right class.",
    ),
    (
        "AUC",
        "Chance that an image of the class gets a higher probability for it than an image of another class. 0.5 is "
        "guessing, 1 is perfect.",
    ),
    (
        "Blessing",
        "The permission of the evaluation, of the measurement of the maps or of the serving trial to push a model. "
        "Without all three, nothing is pushed.",
    ),
    (
        "CBAM",
        "Convolutional block attention module: a part of the network that learns which regions and features to "
        "weigh more. Its map is the weight of each region.",
    ),
    (
        "Confusion matrix",
        "How many images of each true class (row) were called which class (column).",
    ),
    (
        "Digest",
        "Fingerprint of a file's content. Equal digests mean equal content.",
    ),
    (
        "Epoch",
        "One pass of the training over all training images.",
    ),
    (
        "F1",
        "Harmonic mean of precision and recall; high only when both are.",
    ),
    (
        "Grad-CAM++",
        "A map of the regions that raised the score of the predicted class. It is coarse: one cell of the map "
        "covers many pixels.",
    ),
    (
        "Group bootstrap",
        "An interval found by drawing the test images again and again with replacement, near duplicates always "
        "together.",
    ),
    (
        "Interval, 95 %",
        "The range in which the true figure plausibly lies, given how few images were tested.",
    ),
    (
        "Integrated gradients of a layer",
        "A map of the places that raised the score of the predicted class, compared with the empty slide: what each "
        "place adds on the way from the one to the other. All places together, those that lower the score too, would "
        "add up to the difference of the two scores; with the few steps that are taken, they do so roughly.",
    ),
    (
        "Macro F1",
        "Mean of the classes' F1, each class counting the same however many images it has.",
    ),
    (
        "Near duplicates",
        "Images of the same cell or field, cropped, stored or photographed anew. On both sides of a split they would "
        "make a model look better than it is.",
    ),
    (
        "Precision",
        "Of the images called this class, the share that truly are.",
    ),
    (
        "Recall",
        "Of the images that truly are this class, the share that was found; also called sensitivity.",
    ),
    (
        "SavedModel",
        "TensorFlow's format for a model that runs anywhere, here with its preprocessing and explanations.",
    ),
    (
        "Split",
        "Training images teach the model, validation images choose its best epoch, test images judge it once.",
    ),
    (
        "Wilson interval",
        "A standard interval for a share, taking every image as independent.",
    ),
)
